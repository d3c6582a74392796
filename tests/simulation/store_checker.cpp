#include "simulation/store_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {
namespace {

bool has(const std::deque<ilm::stored_message>& messages, const ilm::stored_message& wanted) {
  if (messages.empty() || wanted.index < messages.front().index) return false;
  std::uint64_t place = wanted.index - messages.front().index;
  if (place >= messages.size()) return false;
  const ilm::stored_message& found = messages[static_cast<std::size_t>(place)];
  return found.hash == wanted.hash && found.sequence == wanted.sequence;
}

/// Compares messages as well: equal cursors may belong to other messages with the same numbers.
bool is_same(const image::peer_record& a, const image::peer_record& b) {
  auto equal = [](const std::deque<ilm::stored_message>& x,
                  const std::deque<ilm::stored_message>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const ilm::stored_message& m, const ilm::stored_message& n) {
                        return m.hash == n.hash && m.sequence == n.sequence;
                      });
  };
  return a.where == b.where && equal(a.outbox, b.outbox) && equal(a.inbox, b.inbox);
}

}  // namespace

void store_checker::handle_commit(std::size_t at, const stored_batch& change) {
  relays_.begin_commit(at, change);
  for (const auto& c : change.changes) {
    pair_name pair{at, number_of(c.peer)};
    ilm::cursors& last = last_stored_[pair];
    if (last.inbox.stream != c.next.inbox.stream || last.history.base != c.next.history.base) {
      seen_.former_histories[pair] = last;
    }
    last = c.next;
    seen_.stored_streams[pair].insert(name_of(c.next.inbox.stream));
    store_outbox(at, number_of(c.peer), c);
    store_inbox(at, number_of(c.peer), c);
  }
  relays_.end_commit(at);
}

/// The message that an application sent by itself. Sends are accepted in the order of the calls, so
/// this is the next matching message that did not fail; those in between failed or will.
std::size_t store_checker::find_sent(std::size_t at, std::size_t to, const ilm::stored_message& m) {
  stream& s = seen_.stream_of(at, to);
  auto fits = [&](std::size_t n) {
    const record& r = s.messages[n];
    if (r.sent == fate::failed || r.stored || r.cause || r.process != seen_.processes[at] ||
        r.size != m.contents.size())
      return false;
    std::vector<std::byte> wanted = contents_of(at, to, n, r.size);
    return std::equal(wanted.begin(), wanted.end(), m.contents.view().begin()) &&
           std::ranges::equal(m.attributes.view(), attributes_of(n, r.size));
  };
  std::size_t n = s.next_to_store;
  while (n < s.messages.size() && !fits(n)) ++n;
  return n;
}

void store_checker::store_outbox(std::size_t at, std::size_t to,
                                 const ilm::peer_change<std::string>& c) {
  stream& s = seen_.stream_of(at, to);
  std::uint64_t sequence = c.next.outbox.next - c.outbox.size();
  for (const ilm::stored_message& m : c.outbox) {
    std::optional<std::size_t> output = relays_.take(at, to, m);
    std::size_t n = output ? *output : find_sent(at, to, m);
    if (n == s.messages.size() || m.sequence != sequence || m.index != sequence) {
      return seen_.fail("wrong outbox", peer_name(at) + " stored sequence " +
                                            std::to_string(m.sequence) + " to " + peer_name(to) +
                                            ", which is not the next message");
    }
    record& r = s.messages[n];
    r.stored = true;
    r.sequence = sequence++;
    r.hash = m.hash;
    r.stream = c.next.outbox.stream;
    s.known[name_of(r.hash)] = n;
    s.outbox.push_back(n);
    if (!output) s.next_to_store = n + 1;
  }
  // A message that leaves the outbox before it was consumed is lost.
  while (!s.outbox.empty() && s.messages[s.outbox.front()].sequence < c.next.outbox.first) {
    if (s.messages[s.outbox.front()].consumed == 0) {
      seen_.fail("erased but not consumed",
                 seen_.title(at, to, s.outbox.front()) + " was erased, and nobody consumed it");
    }
    s.outbox.pop_front();
  }
}

void store_checker::store_inbox(std::size_t at, std::size_t from,
                                const ilm::peer_change<std::string>& c) {
  stream& s = seen_.stream_of(from, at);
  std::uint64_t index = c.next.inbox.next - c.inbox.size();
  for (const ilm::stored_message& m : c.inbox) {
    if (m.index != index++ || !s.known.contains(name_of(m.hash))) {
      seen_.fail("wrong inbox", peer_name(at) + " stored index " + std::to_string(m.index) +
                                    ", sequence " + std::to_string(m.sequence) + " of " +
                                    peer_name(from) +
                                    ", which was not sent so or does not come next");
    }
  }
  std::uint64_t most = s.last_index + 1;
  if (s.last_index != 0 && c.next.inbox.first > most) {
    seen_.fail("recorded but not consumed",
               peer_name(at) + " recorded messages of " + peer_name(from) +
                   " as consumed up to index " + std::to_string(c.next.inbox.first - 1) +
                   ", but the last is " + std::to_string(s.last_index));
  }
}

void store_checker::handle_unreadable(std::size_t at, ilm::queue which, std::size_t peer,
                                      std::uint64_t index) {
  unread_message u;
  u.at = now();
  u.reader = at;
  u.process = seen_.processes[at];
  u.which = which;
  u.peer = peer;
  u.index = u.sequence = index;
  const image::peer_record* stored = seen_.peer_record_at(*seen_.disks[at], peer);
  if (which == ilm::queue::inbox && stored != nullptr) {
    std::uint64_t place = index - stored->inbox.front().index;
    u.sequence = stored->inbox[static_cast<std::size_t>(place)].sequence;
  }
  unread_.push_back(u);
}

void store_checker::handle_start(std::size_t at) {
  ++seen_.processes[at];
  opened_[at].clear();
  for (const auto& [peer, stored] : seen_.disks[at]->peers) {
    opened_[at][number_of(peer)] = stored.where.outbox.first;
  }
}

void store_checker::handle_end(std::size_t at, const image& before, const image& after) {
  finish_unread(at);
  for (std::size_t other = 0; other < seen_.options.size(); ++other) {
    if (other == at) continue;
    stream& s = seen_.stream_of(other, at);
    s.last_index = 0;
    // The window of exactly once: a message consumed and still in the inbox may come again, once.
    const image::peer_record* kept = seen_.peer_record_at(after, other);
    const image::peer_record* was = seen_.peer_record_at(before, other);
    for (record& r : s.messages) r.may_repeat = false;
    if (kept != nullptr && was != nullptr) {
      for (const ilm::stored_message& m : kept->inbox) {
        auto known = s.known.find(name_of(m.hash));
        if (known == s.known.end() || !has(was->inbox, m)) continue;
        record& r = s.messages[known->second];
        r.may_repeat = r.consumed > 0;
      }
    }
    // A process without a session may have recorded messages consumed from a store that went back:
    // that store may agree with the peer's now, and then the rollback leaves no evidence.
    if (auto list = seen_.store_resets.find({at, other});
        list != seen_.store_resets.end() && seen_.went_back_unnoticed(at, other)) {
      store_reset& last = list->second.back();
      if (!last.lost) last.other_contradicts = contradicts(at, other, before);
    }
    forget(at, other, before, after);
  }
}

/// Notes the messages that a lost or rolled back store forgot, and the evidence left in other
/// stores.
void store_checker::forget(std::size_t at, std::size_t about, const image& before,
                           const image& after) {
  const image::peer_record* was = seen_.peer_record_at(before, about);
  const image::peer_record* kept = seen_.peer_record_at(after, about);
  bool same = was == nullptr ? kept == nullptr : kept != nullptr && is_same(*was, *kept);
  if (same && before.local == after.local) return;
  store_reset a;
  a.at = now();
  a.lost = !after.local;
  a.other_contradicts = contradicts(at, about, after);
  seen_.store_resets[{at, about}].push_back(a);
  forget_sent(at, about, before, after);
  forget_received(at, about, after);
}

/// Whether the disk of `about` contradicts the present one of `at`, so that their next handshake
/// must show it.
bool store_checker::contradicts(std::size_t at, std::size_t about, const image& after) const {
  const ilm::cursors* other = seen_.cursors_at(about, at);
  if (other == nullptr || !other->met()) return false;
  if (!after.local) return true;
  const image::peer_record* kept = seen_.peer_record_at(after, about);
  // Without a record the history begins anew, with the first stamp of this store.
  if (kept == nullptr) return other->history.seen.count > 1 || other->inbox.received() > 0;
  const ilm::cursors& mine = kept->where;
  const ilm::stamp& seen = other->history.seen;
  if (seen.count < mine.history.base) return false;
  bool stamped = seen.count > mine.history.mark.count ||
                 (seen.count == mine.history.mark.count && seen != mine.history.mark) ||
                 (seen.count == mine.history.confirmed.count && seen != mine.history.confirmed);
  bool confirmed = other->history.confirmed.count > mine.history.seen.count;
  bool received =
      other->inbox.stream == mine.outbox.stream && other->inbox.received() >= mine.outbox.next;
  bool acknowledged = mine.inbox.stream == other->outbox.stream &&
                      other->outbox.acknowledged > mine.inbox.received();
  return stamped || confirmed || received || acknowledged;
}

void store_checker::forget_sent(std::size_t at, std::size_t to, const image& before,
                                const image& after) {
  stream& s = seen_.stream_of(at, to);
  const image::peer_record* was = seen_.peer_record_at(before, to);
  const image::peer_record* kept = seen_.peer_record_at(after, to);
  bool told = contradicts(at, to, after);
  const ilm::cursors* other = seen_.cursors_at(to, at);
  if (was != nullptr) {
    for (const ilm::stored_message& m : was->outbox) {
      auto known = s.known.find(name_of(m.hash));
      if (known == s.known.end() || (kept != nullptr && has(kept->outbox, m))) continue;
      record& r = s.messages[known->second];
      r.forgotten = true;
      r.forgotten_at = now();
      r.lost_whole = !after.local;
    }
  }
  // All that was forgotten since they met is found out when they meet, or nothing is.
  for (record& r : s.messages) {
    if (!r.forgotten) continue;
    // A loss that was found out may go with the store that found it, before the peer stored it.
    if (told && r.forgotten_at < seen_.last_meeting(at, to)) continue;
    // The peer cannot name a message of a stream that it never stored, nor one whose number it
    // has: another message of that number reached it.
    r.unknown_to_all = !told || other == nullptr || other->inbox.stream != r.stream ||
                       other->inbox.received() >= r.sequence;
  }
  s.outbox.clear();
  if (kept == nullptr) return;
  for (const ilm::stored_message& m : kept->outbox) {
    auto known = s.known.find(name_of(m.hash));
    if (known == s.known.end()) continue;
    s.outbox.push_back(known->second);
    record& r = s.messages[known->second];
    r.forgotten = false;
    if (r.consumed > 0) r.silent_repeat = !told;
  }
}

void store_checker::forget_received(std::size_t at, std::size_t from, const image& after) {
  stream& s = seen_.stream_of(from, at);
  const image::peer_record* kept = seen_.peer_record_at(after, from);
  bool told = seen_.store_resets[{at, from}].back().other_contradicts;
  for (record& r : s.messages) {
    if (r.consumed == 0 || !r.stored) continue;
    // Stamps tell of the present stream only: not of messages that are left of one before.
    bool of_former_stream = false;
    if (kept != nullptr) {
      for (const ilm::stored_message& m : kept->inbox) {
        if (m.hash == r.hash) of_former_stream = m.index < kept->where.inbox.start;
      }
    }
    r.silent_repeat = !told || of_former_stream;
  }
}

void store_checker::handle_shutdown(std::size_t at, const ilm::shutdown_report<std::string>& report,
                                    bool exact) {
  std::uint64_t delivered = 0;
  std::uint64_t undelivered = 0;
  std::uint64_t unread = 0;
  for (const auto& [peer, stored] : seen_.disks[at]->peers) {
    auto opened = opened_[at].find(number_of(peer));
    delivered += stored.where.outbox.first - (opened != opened_[at].end() ? opened->second : 1);
    undelivered += stored.outbox.size();
    unread += stored.inbox.size();
  }
  // A store that failed at the end has less than the report.
  if (!exact) return;
  // Confirmations that arrive during the last commit count as delivered, and reach the store after
  // the next start.
  if (report.delivered < delivered ||
      report.delivered + report.undelivered != delivered + undelivered || report.unread != unread) {
    seen_.fail("wrong report", peer_name(at) + "'s shutdown reports " +
                                   std::to_string(report.delivered) + " delivered, " +
                                   std::to_string(report.undelivered) + " not and " +
                                   std::to_string(report.unread) + " unread, but its store says " +
                                   std::to_string(delivered) + ", " + std::to_string(undelivered) +
                                   " and " + std::to_string(unread));
  }
}

/// Of such a message the store has no sequence any more: it is named by its index.
bool store_checker::is_of_former_stream(const unread_message& u) const {
  const image::peer_record* stored = seen_.peer_record_at(*seen_.disks[u.reader], u.peer);
  return u.which == ilm::queue::inbox && stored != nullptr && u.index < stored->where.inbox.start;
}

void store_checker::finish_unread(std::size_t at) {
  unsigned process = seen_.processes[at];
  for (const unread_message& u : unread_) {
    if (u.reader != at || u.process != process || u.at + std::chrono::milliseconds(1) > now())
      continue;
    auto list = seen_.reported.find({at, u.peer});
    bool found =
        list != seen_.reported.end() &&
        std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
          const ilm::sequence_range& r =
              u.which == ilm::queue::outbox ? t.event.outbound : t.event.inbound;
          return t.process == process && t.event.error == ilm::error::store_corrupt &&
                 (r.contains(u.sequence) || (is_of_former_stream(u) && r.contains(u.index)));
        });
    if (!found) {
      seen_.fail("unreported unreadable message",
                 peer_name(at) + " cannot read " +
                     (u.which == ilm::queue::outbox ? "its message to " : "the message from ") +
                     peer_name(u.peer) + " with sequence " + std::to_string(u.sequence) +
                     ", and no event names it" + seen_.summary());
    }
  }
}

}  // namespace simulation
