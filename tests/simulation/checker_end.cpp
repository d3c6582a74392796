// The judgement at the end: what is missing or came twice was told, as far as anybody could know.

#include "simulation/checker.hpp"
#include "simulation/plan.hpp"

#include <algorithm>

namespace simulation {

using kind = ilm::event_kind;

/// Whether `at` was told about `about` in an event that names a sequence.
bool checker::named(std::size_t at, std::size_t about, bool outbound, std::uint64_t sequence,
                    nanoseconds since) const {
  auto list = told_.find({at, about});
  if (list == told_.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const telling& t) {
    if (t.at < since || t.what.kind == kind::store_failed) return false;
    return (outbound ? t.what.outbound : t.what.inbound).contains(sequence);
  });
}

bool checker::told_of(std::size_t at, std::size_t about, nanoseconds since,
                      std::initializer_list<kind> kinds) const {
  auto list = told_.find({at, about});
  if (list == told_.end()) return false;
  return std::any_of(list->second.begin(), list->second.end(), [&](const telling& t) {
    return t.at >= since && std::find(kinds.begin(), kinds.end(), t.what.kind) != kinds.end();
  });
}

void checker::finish() {
  for (const auto& [name, s] : streams_) finish_stream(name.first, name.second, s);
  finish_acts();
  for (std::size_t at = 0; at < options_.size(); ++at) finish_unread(at, lives_[at], now());
}

void checker::finish_stream(std::size_t from, std::size_t to, const stream& s) {
  for (std::size_t n = 0; n < s.messages.size(); ++n) {
    const record& r = s.messages[n];
    if (r.sent == fate::open) fail("send never completed", title(from, to, n) + " never completed");
    if (r.stored && r.taken == 0) finish_missing(from, to, n, r);
    for (const auto& [at, life] : r.repeats) {
      // Two stores of the pair went back: each half of the truth may be gone. Else one of the two
      // knew, unless it could not.
      bool both = acted(from, to) && acted(to, from);
      // Taken again from an inbox that went back, by a process that ended before it met the sender:
      // its store now says that it was taken, as it should, and nothing says that it was twice.
      bool unmet = acted(to, from) && !met_.contains({to, from, life});
      if (both || unmet) {
        ++excused_;
        continue;
      }
      if (!named(from, to, true, r.sequence, nanoseconds(0)) &&
          !named(to, from, false, r.sequence, nanoseconds(0))) {
        fail("repeated in silence", title(from, to, n) + " was taken again at " +
                                        std::to_string(at.count() / 1000) +
                                        " us, and no event names it" + standing());
      }
    }
  }
}

void checker::finish_missing(std::size_t from, std::size_t to, std::size_t n, const record& r) {
  if (!r.forgotten) {
    return fail("lost", title(from, to, n) + " is missing, and no store forgot it" + standing());
  }
  // The sender's store forgot it and no other had it: nobody can name it. If the receiver's store
  // went back too, it may have known once.
  if (r.nobody_knew || acted(to, from)) {
    ++excused_;
    return;
  }
  if (!named(from, to, true, r.sequence, r.forgotten_at) ||
      !named(to, from, false, r.sequence, r.forgotten_at)) {
    fail("lost in silence", title(from, to, n) + " went with its store at " +
                                std::to_string(r.forgotten_at.count() / 1000) +
                                " us, and not both sides were told" + standing());
  }
}

/// Whenever one store of a pair went back or was lost, and the other's contradicts it, both sides
/// are told.
void checker::finish_acts() {
  for (const auto& [name, list] : acts_) {
    auto [at, other] = name;
    // Two that went back may agree again.
    if (acted(other, at)) continue;
    const act& last = list.back();
    if (!last.other_could_tell) continue;
    bool self = told_of(at, other, last.at, {kind::store_lost, kind::rolled_back});
    bool peer = told_of(other, at, last.at, {kind::peer_reset, kind::peer_rolled_back});
    if (self && peer) continue;
    fail("went back in silence", peer_name(at) + "'s store " +
                                     (last.lost ? "was lost" : "went back") + " at " +
                                     std::to_string(last.at.count() / 1000) + " us; " +
                                     (self ? "" : peer_name(at) + " was not told; ") +
                                     (peer ? "" : peer_name(other) + " was not told") + standing());
  }
}

/// What could not be read was named in an event, given a moment to say it.
void checker::finish_unread(std::size_t at, unsigned life, nanoseconds end) {
  for (const unread_message& u : unread_) {
    if (u.whose != at || u.life != life || u.at + std::chrono::milliseconds(1) > end) continue;
    auto list = told_.find({at, u.peer});
    bool found = list != told_.end() &&
                 std::any_of(list->second.begin(), list->second.end(), [&](const telling& t) {
                   const ilm::sequence_range& r =
                       u.which == ilm::box::outbox ? t.what.outbound : t.what.inbound;
                   return t.life == life && t.what.error == ilm::error::store_corrupt &&
                          (r.contains(u.sequence) || r.contains(u.index));
                 });
    if (!found) {
      fail("unreadable in silence",
           peer_name(at) + " cannot read " +
               (u.which == ilm::box::outbox ? "its message to " : "the message from ") +
               peer_name(u.peer) + " with sequence " + std::to_string(u.sequence) +
               ", and no event names it" + standing());
    }
  }
}

}  // namespace simulation
