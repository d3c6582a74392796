#include "simulation/store_checker.hpp"

#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {
namespace {

bool has(const std::deque<ilm::stored_message>& messages, const ilm::stored_message& wanted) {
  if (messages.empty() || wanted.index < messages.front().index) return false;
  std::uint64_t place = wanted.index - messages.front().index;
  return place < messages.size() && messages[place].epoch == wanted.epoch &&
         messages[place].sequence == wanted.sequence;
}

/// Compares messages as well: equal cursors may belong to other messages with the same numbers.
bool is_same(const image::peer_record& a, const image::peer_record& b) {
  auto equal = [](const std::deque<ilm::stored_message>& x,
                  const std::deque<ilm::stored_message>& y) {
    return std::equal(x.begin(), x.end(), y.begin(), y.end(),
                      [](const ilm::stored_message& m, const ilm::stored_message& n) {
                        return m.epoch == n.epoch && m.sequence == n.sequence;
                      });
  };
  return a.where == b.where && equal(a.outbox, b.outbox) && equal(a.inbox, b.inbox);
}

}  // namespace

void store_checker::handle_commit(std::size_t at, const stored_batch& change) {
  for (const auto& c : change.changes) {
    seen_.stored_incarnations[{at, number_of(c.peer)}].insert(
        wire::name{c.next.peer.high, c.next.peer.low});
    store_outbox(at, number_of(c.peer), c);
    store_inbox(at, number_of(c.peer), c);
  }
}

void store_checker::store_outbox(std::size_t at, std::size_t to,
                                 const ilm::peer_change<std::string>& c) {
  stream& s = seen_.stream_of(at, to);
  std::uint64_t sequence = c.next.outbox_next - c.outbox.size();
  for (const ilm::stored_message& m : c.outbox) {
    // Sends are accepted in the order of the calls, so this is the next matching message that did
    // not fail; those in between failed or will.
    auto fits = [&](std::size_t n) {
      const record& r = s.messages[n];
      if (r.sent == fate::failed || r.stored || r.process != seen_.processes[at] ||
          r.size != m.contents.size())
        return false;
      std::vector<std::byte> wanted = contents_of(at, to, n, r.size);
      return std::equal(wanted.begin(), wanted.end(), m.contents.view().begin()) &&
             std::ranges::equal(m.attributes.view(), attributes_of(n, r.size));
    };
    std::size_t n = s.next_to_store;
    while (n < s.messages.size() && !fits(n)) ++n;
    if (n == s.messages.size() || m.sequence != sequence || m.index != sequence) {
      return seen_.fail("wrong outbox", peer_name(at) + " stored sequence " +
                                            std::to_string(m.sequence) + " to " + peer_name(to) +
                                            ", which is not the next message");
    }
    record& r = s.messages[n];
    r.stored = true;
    r.sequence = sequence++;
    r.epoch = m.epoch;
    s.known[{r.epoch, r.sequence}] = n;
    s.outbox.push_back(n);
    s.next_to_store = n + 1;
  }
  // A message that leaves the outbox before it was consumed is lost.
  while (!s.outbox.empty() && s.messages[s.outbox.front()].sequence < c.next.outbox_first) {
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
  std::uint64_t index = c.next.inbox_next - c.inbox.size();
  for (const ilm::stored_message& m : c.inbox) {
    if (m.index != index++ || !s.known.contains({m.epoch, m.sequence})) {
      seen_.fail("wrong inbox", peer_name(at) + " stored index " + std::to_string(m.index) +
                                    ", sequence " + std::to_string(m.sequence) + " of " +
                                    peer_name(from) +
                                    ", which was not sent so or does not come next");
    }
  }
  std::uint64_t most = s.last_index + 1;
  if (s.last_index != 0 && c.next.inbox_first > most) {
    seen_.fail("recorded but not consumed",
               peer_name(at) + " recorded messages of " + peer_name(from) +
                   " as consumed up to index " + std::to_string(c.next.inbox_first - 1) +
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
    u.sequence = stored->inbox[index - stored->inbox.front().index].sequence;
  }
  unread_.push_back(u);
}

void store_checker::handle_start(std::size_t at) {
  ++seen_.processes[at];
  opened_[at].clear();
  for (const auto& [peer, stored] : seen_.disks[at]->peers) {
    opened_[at][number_of(peer)] = stored.where.outbox_first;
  }
}

std::vector<std::size_t> store_checker::handle_end(std::size_t at, const image& before,
                                                   const image& after) {
  std::vector<std::size_t> reset;
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
        auto known = s.known.find({m.epoch, m.sequence});
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
      if (!last.lost) last.other_contradicts = contradicts(at, other, before, before);
    }
    if (forget(at, other, before, after)) reset.push_back(other);
  }
  return reset;
}

/// Notes the messages that a lost or rolled back store forgot, and the evidence left in other
/// stores. False if the store is the same as before.
bool store_checker::forget(std::size_t at, std::size_t about, const image& before,
                           const image& after) {
  const image::peer_record* was = seen_.peer_record_at(before, about);
  const image::peer_record* kept = seen_.peer_record_at(after, about);
  bool same = was == nullptr ? kept == nullptr : kept != nullptr && is_same(*was, *kept);
  if (same && before.local == after.local) return false;
  store_reset a;
  a.at = now();
  a.lost = !after.local;
  a.other_contradicts = contradicts(at, about, before, after);
  seen_.store_resets[{at, about}].push_back(a);
  forget_sent(at, about, before, after);
  forget_received(at, about, after);
  return true;
}

/// Whether the disk of `about` contradicts the present one of `at`, so that their next handshake
/// must show it.
bool store_checker::contradicts(std::size_t at, std::size_t about, const image& before,
                                const image& after) const {
  const ilm::cursors* other = seen_.cursors_at(about, at);
  if (other == nullptr) return false;
  if (!after.local) return other->peer && other->peer == before.local;
  const image::peer_record* kept = seen_.peer_record_at(after, about);
  ilm::cursors mine;
  mine.local = after.local;
  if (kept != nullptr) mine = kept->where;
  if (other->peer != mine.local || mine.peer != other->local) return false;
  return other->received() >= mine.outbox_next || other->acknowledged > mine.received() ||
         std::min(other->outbox_first - 1, other->acknowledged) > confirmed(mine);
}

void store_checker::forget_sent(std::size_t at, std::size_t to, const image& before,
                                const image& after) {
  stream& s = seen_.stream_of(at, to);
  const image::peer_record* was = seen_.peer_record_at(before, to);
  const image::peer_record* kept = seen_.peer_record_at(after, to);
  const ilm::cursors* other = seen_.cursors_at(to, at);
  bool peer_known = other != nullptr && other->peer && other->peer == before.local;
  if (was != nullptr) {
    peer_known = other != nullptr && other->peer && other->peer == was->where.local;
    for (const ilm::stored_message& m : was->outbox) {
      auto known = s.known.find({m.epoch, m.sequence});
      if (known == s.known.end() || (kept != nullptr && has(kept->outbox, m))) continue;
      record& r = s.messages[known->second];
      r.forgotten = true;
      r.forgotten_at = now();
      r.lost_whole = !after.local;
      // A peer that stored the incarnation notices a lost store. A rolled back store is found by
      // messages that its peers received, and this one never reached them.
      r.unknown_to_all = !peer_known || !r.lost_whole || seen_.went_back_unnoticed(at, to);
    }
  }
  // A lost store that comes back as an old copy before a peer noticed counts as rolled back.
  for (record& r : s.messages) {
    if (r.forgotten && after.local) r.unknown_to_all = true;
  }
  s.outbox.clear();
  if (kept == nullptr) return;
  for (const ilm::stored_message& m : kept->outbox) {
    auto known = s.known.find({m.epoch, m.sequence});
    if (known == s.known.end()) continue;
    s.outbox.push_back(known->second);
    record& r = s.messages[known->second];
    r.forgotten = false;
    // The gap of the protocol described in forget_received, in the other direction.
    if (r.consumed > 0)
      r.silent_repeat = other != nullptr && other->peer && other->peer != kept->where.local;
  }
}

void store_checker::forget_received(std::size_t at, std::size_t from, const image& after) {
  stream& s = seen_.stream_of(from, at);
  const image::peer_record* kept = seen_.peer_record_at(after, from);
  const image::peer_record* sender = seen_.peer_record_at(*seen_.disks[from], at);
  for (std::size_t n = 0; n < s.messages.size(); ++n) {
    record& r = s.messages[n];
    if (r.consumed == 0 || !r.stored) continue;
    bool again_here = false;
    if (kept != nullptr) {
      for (const ilm::stored_message& m : kept->inbox) {
        again_here = again_here || (m.epoch == r.epoch && m.sequence == r.sequence);
      }
    }
    bool waits = std::find(s.outbox.begin(), s.outbox.end(), n) != s.outbox.end();
    std::uint64_t acknowledged = sender != nullptr ? sender->where.acknowledged : 0;
    bool receiver_lost = !after.local;
    // A sender has evidence that a message was consumed if it was confirmed and erased, and that it
    // was received if it was acknowledged. If the receiver forgot both and the sender's store has
    // neither, a repetition leaves no evidence. A gap of the protocol: a store that goes back to
    // before it created its present incarnation is new to its peer, which gets an event
    // (peer_reset); the side itself gets none, so no event names messages consumed again from the
    // old inbox.
    const ilm::incarnation local = kept != nullptr ? kept->where.local : after.local;
    bool incarnation_unknown =
        sender != nullptr && sender->where.peer && sender->where.peer != local;
    if (again_here) {
      r.silent_repeat = waits || incarnation_unknown;
    } else {
      r.silent_repeat = waits && !receiver_lost && acknowledged < r.sequence;
    }
  }
}

void store_checker::handle_shutdown(std::size_t at, const ilm::shutdown_report<std::string>& report,
                                    bool exact) {
  std::uint64_t delivered = 0;
  std::uint64_t undelivered = 0;
  std::uint64_t unread = 0;
  for (const auto& [peer, stored] : seen_.disks[at]->peers) {
    auto opened = opened_[at].find(number_of(peer));
    delivered += stored.where.outbox_first - (opened != opened_[at].end() ? opened->second : 1);
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
                 (r.contains(u.sequence) || r.contains(u.index));
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
