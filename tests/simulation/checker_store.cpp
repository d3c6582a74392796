// What disks hold, and what happens to that when a process, a machine or a disk ends.

#include "simulation/checker.hpp"
#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {
namespace {

std::size_t number_of(const std::string& peer) { return static_cast<std::size_t>(peer[0] - 'a'); }

bool has(const std::deque<ilm::stored_message>& messages, const ilm::stored_message& wanted) {
  if (messages.empty() || wanted.index < messages.front().index) return false;
  std::uint64_t place = wanted.index - messages.front().index;
  return place < messages.size() && messages[place].epoch == wanted.epoch &&
         messages[place].sequence == wanted.sequence;
}

/// Cursors alone may look the same where other messages have got the same numbers.
bool is_same(const image::shelf& a, const image::shelf& b) {
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

const image::shelf* checker::shelf_at(const image& disk, std::size_t about) const {
  auto at = disk.shelves.find(peer_name(about));
  return at != disk.shelves.end() ? &at->second : nullptr;
}

const ilm::cursors* checker::cursors_at(std::size_t at, std::size_t about) const {
  const image::shelf* s = shelf_at(*disks_[at], about);
  return s != nullptr ? &s->where : nullptr;
}

void checker::committed(std::size_t at, const stored_batch& change) {
  for (const auto& c : change.changes) {
    met_peers_[{at, number_of(c.peer)}].insert(wire::name{c.next.peer.high, c.next.peer.low});
    store_outbox(at, number_of(c.peer), c);
    store_inbox(at, number_of(c.peer), c);
  }
}

void checker::store_outbox(std::size_t at, std::size_t to, const ilm::peer_change<std::string>& c) {
  stream& s = stream_of(at, to);
  std::uint64_t sequence = c.next.outbox_next - c.outbox.size();
  for (const ilm::stored_message& m : c.outbox) {
    // Sends are accepted in the order of the calls, so this is the next one that did not fail and
    // is it; in between are those that failed or will.
    auto fits = [&](std::size_t n) {
      const record& r = s.messages[n];
      if (r.sent == fate::failed || r.stored || r.life != lives_[at] || r.size != m.contents.size())
        return false;
      std::vector<std::byte> wanted = contents_of(at, to, n, r.size);
      return std::equal(wanted.begin(), wanted.end(), m.contents.view().begin());
    };
    std::size_t n = s.next_to_store;
    while (n < s.messages.size() && !fits(n)) ++n;
    if (n == s.messages.size() || m.sequence != sequence || m.index != sequence) {
      return fail("wrong outbox", peer_name(at) + " stored sequence " + std::to_string(m.sequence) +
                                      " to " + peer_name(to) + ", which is not what comes next");
    }
    record& r = s.messages[n];
    r.stored = true;
    r.sequence = sequence++;
    r.epoch = m.epoch;
    s.known[{r.epoch, r.sequence}] = n;
    s.outbox.push_back(n);
    s.next_to_store = n + 1;
  }
  // What leaves the outbox before somebody took it is lost.
  while (!s.outbox.empty() && s.messages[s.outbox.front()].sequence < c.next.outbox_first) {
    if (s.messages[s.outbox.front()].taken == 0) {
      fail("erased but not taken",
           title(at, to, s.outbox.front()) + " was erased, and nobody took it");
    }
    s.outbox.pop_front();
  }
}

void checker::store_inbox(std::size_t at, std::size_t from,
                          const ilm::peer_change<std::string>& c) {
  stream& s = stream_of(from, at);
  std::uint64_t index = c.next.inbox_next - c.inbox.size();
  for (const ilm::stored_message& m : c.inbox) {
    if (m.index != index++ || !s.known.contains({m.epoch, m.sequence})) {
      fail("wrong inbox", peer_name(at) + " stored index " + std::to_string(m.index) +
                              ", sequence " + std::to_string(m.sequence) + " of " +
                              peer_name(from) + ", which was not sent so or does not come next");
    }
  }
  std::uint64_t most = s.last_index + 1;
  if (s.last_index != 0 && c.next.inbox_first > most) {
    fail("recorded but not taken", peer_name(at) + " recorded messages of " + peer_name(from) +
                                       " as taken up to index " +
                                       std::to_string(c.next.inbox_first - 1) +
                                       ", but the last is " + std::to_string(s.last_index));
  }
}

void checker::unreadable(std::size_t at, ilm::box which, std::size_t peer, std::uint64_t index) {
  unread_message u;
  u.at = now();
  u.whose = at;
  u.life = lives_[at];
  u.which = which;
  u.peer = peer;
  u.index = u.sequence = index;
  const image::shelf* shelf = shelf_at(*disks_[at], peer);
  if (which == ilm::box::inbox && shelf != nullptr) {
    u.sequence = shelf->inbox[index - shelf->inbox.front().index].sequence;
  }
  unread_.push_back(u);
}

void checker::started(std::size_t at) {
  ++lives_[at];
  opened_[at].clear();
  for (const auto& [peer, shelf] : disks_[at]->shelves) {
    opened_[at][number_of(peer)] = shelf.where.outbox_first;
  }
}

void checker::ended(std::size_t at, const image& before, const image& after) {
  finish_unread(at, lives_[at], now());
  for (std::size_t other = 0; other < options_.size(); ++other) {
    if (other == at) continue;
    stream& s = stream_of(other, at);
    s.last_index = 0;
    // The window of exactly once: what was taken, and stays in the inbox, may come again; once.
    const image::shelf* kept = shelf_at(after, other);
    const image::shelf* was = shelf_at(before, other);
    for (record& r : s.messages) r.may_repeat = false;
    if (kept != nullptr && was != nullptr) {
      for (const ilm::stored_message& m : kept->inbox) {
        auto known = s.known.find({m.epoch, m.sequence});
        if (known == s.known.end() || !has(was->inbox, m)) continue;
        record& r = s.messages[known->second];
        r.may_repeat = r.taken > 0;
      }
    }
    // A process that ends before it met the other has recorded what it took from a store that went
    // back: that store may agree with the other's now, and then nobody can tell any more.
    if (auto list = acts_.find({at, other}); list != acts_.end() && went_back_unmet(at, other)) {
      act& last = list->second.back();
      if (!last.lost) last.other_could_tell = could_tell(at, other, before, before);
    }
    forget(at, other, before, after);
  }
}

/// Notes what a store that went back or was lost no longer knows, and who else knows it.
void checker::forget(std::size_t at, std::size_t about, const image& before, const image& after) {
  const image::shelf* was = shelf_at(before, about);
  const image::shelf* kept = shelf_at(after, about);
  bool same = was == nullptr ? kept == nullptr : kept != nullptr && is_same(*was, *kept);
  if (same && before.local == after.local) return;
  act a;
  a.at = now();
  a.lost = !after.local;
  a.other_could_tell = could_tell(at, about, before, after);
  acts_[{at, about}].push_back(a);
  forget_sent(at, about, before, after);
  forget_received(at, about, after);
  for (auto& [name, f] : flows_) {
    // What it said before it said in another life; and one that goes back to an incarnation that
    // the other has replaced meanwhile is a stranger to that.
    auto [from, to, source, destination] = name;
    if ((from == at && to == about) || (from == about && to == at)) {
      f.said_received = f.said_delivered = 0;
    }
  }
}

/// Whether what the other side's disk holds contradicts what `at` holds now, so that their next
/// meeting must show it.
bool checker::could_tell(std::size_t at, std::size_t about, const image& before,
                         const image& after) const {
  const ilm::cursors* other = cursors_at(about, at);
  if (other == nullptr) return false;
  if (!after.local) return other->peer && other->peer == before.local;
  const image::shelf* kept = shelf_at(after, about);
  ilm::cursors mine;
  mine.local = after.local;
  if (kept != nullptr) mine = kept->where;
  if (other->peer != mine.local || mine.peer != other->local) return false;
  return other->received() >= mine.outbox_next || other->acknowledged > mine.received() ||
         std::min(other->outbox_first - 1, other->acknowledged) > confirmed(mine);
}

/// Whether the store of `at` went back, and `about` has not met it since: so that nobody knows of
/// the two histories that have the same numbers.
bool checker::went_back_unmet(std::size_t at, std::size_t about) const {
  auto list = acts_.find({at, about});
  if (list == acts_.end()) return false;
  auto met = [&](std::size_t who, std::size_t whom) {
    auto found = met_at_.find({who, whom});
    return found != met_at_.end() ? found->second : nanoseconds(-1);
  };
  nanoseconds last = std::min(met(at, about), met(about, at));
  return std::any_of(list->second.begin(), list->second.end(),
                     [&](const act& a) { return !a.lost && a.at >= last; });
}

void checker::forget_sent(std::size_t at, std::size_t to, const image& before, const image& after) {
  stream& s = stream_of(at, to);
  const image::shelf* was = shelf_at(before, to);
  const image::shelf* kept = shelf_at(after, to);
  const ilm::cursors* other = cursors_at(to, at);
  bool acquainted = other != nullptr && other->peer && other->peer == before.local;
  if (was != nullptr) {
    acquainted = other != nullptr && other->peer && other->peer == was->where.local;
    for (const ilm::stored_message& m : was->outbox) {
      auto known = s.known.find({m.epoch, m.sequence});
      if (known == s.known.end() || (kept != nullptr && has(kept->outbox, m))) continue;
      record& r = s.messages[known->second];
      r.forgotten = true;
      r.forgotten_at = now();
      r.lost_whole = !after.local;
      // A store that is lost is missed by whom it had met. One that went back is found out by what
      // others have of it, which for a message that never reached them is nothing.
      r.nobody_knew = !acquainted || !r.lost_whole || went_back_unmet(at, to);
    }
  }
  // A store that was lost and comes back as an old copy, before anybody missed it, is one that
  // went back.
  for (record& r : s.messages) {
    if (r.forgotten && after.local) r.nobody_knew = true;
  }
  s.outbox.clear();
  if (kept == nullptr) return;
  for (const ilm::stored_message& m : kept->outbox) {
    auto known = s.known.find({m.epoch, m.sequence});
    if (known == s.known.end()) continue;
    s.outbox.push_back(known->second);
    record& r = s.messages[known->second];
    r.forgotten = false;
    // The gap of the protocol that forget_received tells of, in the other direction.
    if (r.taken > 0)
      r.silent_repeat = other != nullptr && other->peer && other->peer != kept->where.local;
  }
}

void checker::forget_received(std::size_t at, std::size_t from, const image& after) {
  stream& s = stream_of(from, at);
  const image::shelf* kept = shelf_at(after, from);
  const image::shelf* sender = shelf_at(*disks_[from], at);
  for (std::size_t n = 0; n < s.messages.size(); ++n) {
    record& r = s.messages[n];
    if (r.taken == 0 || !r.stored) continue;
    bool again_here = false;
    if (kept != nullptr) {
      for (const ilm::stored_message& m : kept->inbox) {
        again_here = again_here || (m.epoch == r.epoch && m.sequence == r.sequence);
      }
    }
    bool waits = std::find(s.outbox.begin(), s.outbox.end(), n) != s.outbox.end();
    std::uint64_t acknowledged = sender != nullptr ? sender->where.acknowledged : 0;
    bool receiver_lost = !after.local;
    // That it was taken is known to a sender which had it confirmed, and erased it. That it was
    // received, to one that had it acknowledged. If the receiver forgot both and the sender's store
    // has neither, then nobody can tell that it comes twice.
    // A gap of the protocol: a store that goes back to before it minted its present incarnation is
    // a stranger to its peer, who is told (peer_reset); but the side itself is not, so what its
    // application takes again from the old inbox is named by no event.
    const ilm::incarnation shown = kept != nullptr ? kept->where.local : after.local;
    bool stranger = sender != nullptr && sender->where.peer && sender->where.peer != shown;
    if (again_here) {
      r.silent_repeat = waits || stranger;
    } else {
      r.silent_repeat = waits && !receiver_lost && acknowledged < r.sequence;
    }
  }
}

std::size_t checker::outstanding() const {
  std::size_t sum = 0;
  for (const image* disk : disks_) sum += disk->messages();
  return sum;
}

void checker::shut_down(std::size_t at, const ilm::shutdown_report<std::string>& report,
                        bool exact) {
  std::uint64_t delivered = 0;
  std::uint64_t undelivered = 0;
  std::uint64_t unread = 0;
  for (const auto& [peer, shelf] : disks_[at]->shelves) {
    auto opened = opened_[at].find(number_of(peer));
    delivered += shelf.where.outbox_first - (opened != opened_[at].end() ? opened->second : 1);
    undelivered += shelf.outbox.size();
    unread += shelf.inbox.size();
  }
  // A store that failed at the end knows less than the report.
  if (!exact) return;
  // What a peer confirms while the last batch is being stored is delivered, and the store hears of
  // it in its next life.
  if (report.delivered < delivered ||
      report.delivered + report.undelivered != delivered + undelivered || report.unread != unread) {
    fail("wrong report", peer_name(at) + "'s shutdown reports " + std::to_string(report.delivered) +
                             " delivered, " + std::to_string(report.undelivered) + " not and " +
                             std::to_string(report.unread) + " unread, but its store says " +
                             std::to_string(delivered) + ", " + std::to_string(undelivered) +
                             " and " + std::to_string(unread));
  }
}

}  // namespace simulation
