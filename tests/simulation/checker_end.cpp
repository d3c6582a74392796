// The checks at the end: events name all missing and repeated messages of which a store had
// evidence.

#include "simulation/checker.hpp"
#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {

using kind = ilm::event_kind;

/// Whether an event at `at` about `about` names the sequence.
bool checker::named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
                    nanoseconds since) const {
  auto list = reported_.find({at, about});
  if (list == reported_.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
    if (t.at < since || t.event.kind == kind::store_failed) return false;
    return (outbound ? t.event.outbound : t.event.inbound).contains(sequence);
  });
}

bool checker::reported(std::size_t at, std::size_t about, nanoseconds since,
                       std::initializer_list<kind> kinds) const {
  auto list = reported_.find({at, about});
  if (list == reported_.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
    return t.at >= since && std::find(kinds.begin(), kinds.end(), t.event.kind) != kinds.end();
  });
}

void checker::finish() {
  for (const auto& [name, s] : streams_) finish_stream(name.first, name.second, s);
  finish_store_resets();
  for (std::size_t at = 0; at < options_.size(); ++at) finish_unread(at, processes_[at], now());
}

void checker::finish_stream(std::size_t from, std::size_t to, const stream& s) {
  for (std::size_t n = 0; n < s.messages.size(); ++n) {
    const record& r = s.messages[n];
    if (r.sent == fate::open) fail("send never completed", title(from, to, n) + " never completed");
    if (r.stored && r.consumed == 0) finish_missing(from, to, n, r);
    for (const auto& [at, process] : r.repeats) {
      // If both stores of the pair went back, the evidence may be gone. Otherwise one of the two
      // has it, unless the process ended too early.
      bool both = was_reset(from, to) && was_reset(to, from);
      // Taken again from an inbox that went back, by a process that ended before a session with the
      // sender: the store now records the message as consumed, and nothing records that it was
      // consumed twice.
      bool unmet = was_reset(to, from) && !sessions_.contains({to, from, process});
      if (both || unmet) {
        ++excused_;
        continue;
      }
      if (!named(from, to, true, r.sequence, nanoseconds(0)) &&
          !named(to, from, false, r.sequence, nanoseconds(0))) {
        fail("unreported repetition", title(from, to, n) + " was consumed again at " +
                                          std::to_string(at.count() / 1000) +
                                          " us, and no event names it" + summary());
      }
    }
  }
}

void checker::finish_missing(std::size_t from, std::size_t to, std::size_t n, const record& r) {
  if (!r.forgotten) {
    return fail("lost", title(from, to, n) + " is missing, and no store forgot it" + summary());
  }
  // The sender's store lost it and no other had it: no event can name it. If the receiver's store
  // went back too, that may have lost the evidence.
  if (r.unknown_to_all || was_reset(to, from)) {
    ++excused_;
    return;
  }
  if (!named(from, to, true, r.sequence, r.forgotten_at) ||
      !named(to, from, false, r.sequence, r.forgotten_at)) {
    fail("unreported loss", title(from, to, n) + " went with its store at " +
                                std::to_string(r.forgotten_at.count() / 1000) +
                                " us, and not both sides got an event" + summary());
  }
}

/// If one store of a pair was lost or went back, and the other contradicts it, both sides get an
/// event.
void checker::finish_store_resets() {
  for (const auto& [name, list] : store_resets_) {
    auto [at, other] = name;
    // Two stores that both went back may agree again.
    if (was_reset(other, at)) continue;
    const store_reset& last = list.back();
    if (!last.other_contradicts) continue;
    bool self = reported(at, other, last.at, {kind::store_lost, kind::rolled_back});
    bool peer = reported(other, at, last.at, {kind::peer_reset, kind::peer_rolled_back});
    if (self && peer) continue;
    fail("unreported rollback", peer_name(at) + "'s store " +
                                    (last.lost ? "was lost" : "went back") + " at " +
                                    std::to_string(last.at.count() / 1000) + " us; " +
                                    (self ? "" : peer_name(at) + " got no event; ") +
                                    (peer ? "" : peer_name(other) + " got no event") + summary());
  }
}

/// An event names each unreadable message, unless the process ended within a moment.
void checker::finish_unread(std::size_t at, unsigned process, nanoseconds end) {
  for (const unread_message& u : unread_) {
    if (u.reader != at || u.process != process || u.at + std::chrono::milliseconds(1) > end)
      continue;
    auto list = reported_.find({at, u.peer});
    bool found =
        list != reported_.end() &&
        std::any_of(list->second.begin(), list->second.end(), [&](const reported_event& t) {
          const ilm::sequence_range& r =
              u.which == ilm::queue::outbox ? t.event.outbound : t.event.inbound;
          return t.process == process && t.event.error == ilm::error::store_corrupt &&
                 (r.contains(u.sequence) || r.contains(u.index));
        });
    if (!found) {
      fail("unreported unreadable message",
           peer_name(at) + " cannot read " +
               (u.which == ilm::queue::outbox ? "its message to " : "the message from ") +
               peer_name(u.peer) + " with sequence " + std::to_string(u.sequence) +
               ", and no event names it" + summary());
    }
  }
}

}  // namespace simulation
