#include "simulation/final_checker.hpp"

#include "simulation/plan.hpp"

namespace simulation {

void final_checker::finish() {
  for (const auto& [name, s] : seen_.streams) finish_stream(name.first, name.second, s);
  finish_batches();
  finish_store_resets();
}

void final_checker::finish_batches() {
  for (const auto& [from, sends] : seen_.batches) {
    std::size_t stored = 0;
    for (const auto& [to, number] : sends) {
      if (seen_.stream_of(from, to).messages[number].stored) ++stored;
    }
    if (stored != 0 && stored != sends.size()) {
      const auto& [to, number] = sends.front();
      seen_.fail("half a batch", std::to_string(stored) + " of " + std::to_string(sends.size()) +
                                     " messages were stored of the batch that begins with " +
                                     seen_.title(from, to, number));
    }
  }
}

void final_checker::finish_stream(std::size_t from, std::size_t to, const stream& s) {
  for (std::size_t n = 0; n < s.messages.size(); ++n) {
    const record& r = s.messages[n];
    if (r.sent == fate::open)
      seen_.fail("send never completed", seen_.title(from, to, n) + " never completed");
    if (r.stored && r.consumed == 0) finish_missing(from, to, n, r);
    for (const auto& [at, process] : r.repeats) {
      // If both stores of the pair went back, the evidence may be gone. Otherwise one of the two
      // has it, unless the process ended too early.
      bool both = seen_.was_reset(from, to) && seen_.was_reset(to, from);
      // Consumed again from an inbox that went back, by a process that ended before a session with
      // the sender: the store now records the message as consumed, and nothing records that it was
      // consumed twice.
      bool unmet = seen_.was_reset(to, from) && !seen_.sessions.contains({to, from, process});
      if (both || unmet) {
        ++seen_.excused;
        continue;
      }
      if (!seen_.named(from, to, true, r.sequence, nanoseconds(0)) &&
          !seen_.named(to, from, false, r.sequence, nanoseconds(0))) {
        seen_.fail("unreported repetition", seen_.title(from, to, n) + " was consumed again at " +
                                                std::to_string(at.count() / 1000) +
                                                " us, and no event names it" + seen_.summary());
      }
    }
  }
}

void final_checker::finish_missing(std::size_t from, std::size_t to, std::size_t n,
                                   const record& r) {
  if (!r.forgotten) {
    return seen_.fail(
        "lost", seen_.title(from, to, n) + " is missing, and no store forgot it" + seen_.summary());
  }
  // The sender's store lost it and no other had it: no event can name it. If the receiver's store
  // went back too, that may have lost the evidence.
  if (r.unknown_to_all || seen_.was_reset(to, from)) {
    ++seen_.excused;
    return;
  }
  if (!seen_.named(from, to, true, r.sequence, r.forgotten_at) ||
      !seen_.named(to, from, false, r.sequence, r.forgotten_at)) {
    seen_.fail("unreported loss", seen_.title(from, to, n) + " went with its store at " +
                                      std::to_string(r.forgotten_at.count() / 1000) +
                                      " us, and not both sides got an event" + seen_.summary());
  }
}

/// If one store of a pair was lost or went back, and the other contradicts it, both sides get an
/// event.
void final_checker::finish_store_resets() {
  for (const auto& [name, list] : seen_.store_resets) {
    auto [at, other] = name;
    // Two stores that both went back may agree again.
    if (seen_.was_reset(other, at)) continue;
    const store_reset& last = list.back();
    if (!last.other_contradicts) continue;
    bool self = seen_.was_reported(at, other, last.at,
                                   {ilm::event_kind::store_lost, ilm::event_kind::rolled_back});
    bool peer = seen_.was_reported(
        other, at, last.at, {ilm::event_kind::peer_reset, ilm::event_kind::peer_rolled_back});
    if (self && peer) continue;
    seen_.fail("unreported rollback",
               peer_name(at) + "'s store " + (last.lost ? "was lost" : "went back") + " at " +
                   std::to_string(last.at.count() / 1000) + " us; " +
                   (self ? "" : peer_name(at) + " got no event; ") +
                   (peer ? "" : peer_name(other) + " got no event") + seen_.summary());
  }
}

}  // namespace simulation
