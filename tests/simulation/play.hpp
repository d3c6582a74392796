#pragma once

// Plays a plan with whole messengers in simulated time, observed by the checker.

#include "simulation/checker.hpp"
#include "simulation/plan.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace simulation {

/// A defect to plant, so that a test sees the checker find it.
enum class sabotage : std::uint8_t {
  none,
  repeat_delivery,   ///< an application gets a message twice
  lose_delivery,     ///< an application misses a message that counts as consumed
  swap_deliveries,   ///< two messages change places
  forgetful_store,   ///< a commit completes and never happens
  hasty_store,       ///< commits complete before they have happened
  withheld_events,   ///< the events of lost and rolled back stores are dropped
  leaky_window,      ///< the checker gets a smaller window than the messenger
  known_tags,        ///< those who guess know the tags of the sessions
  heeded_replays,    ///< each repeated frame ends the session
  separate_sends,    ///< relays send with another commit than that of the consumption
  separate_batches,  ///< each message of a batch is sent by itself
  hasty_reader,      ///< readers consume a message before they work on it
  dropped_effects,   ///< a commit has none of its effects
};

struct playing {
  sabotage planted = sabotage::none;
  bool trace = false;  ///< whether to keep a trace in words
};

struct totals {
  std::uint64_t histories = 0;
  std::uint64_t messages = 0;
  std::uint64_t outputs = 0;  ///< of them: sent with the consumption of another
  std::uint64_t frames = 0;
  std::uint64_t frames_lost = 0;
  std::uint64_t frames_repeated = 0;
  std::uint64_t frames_reordered = 0;
  std::uint64_t frames_corrupted = 0;
  std::uint64_t frames_injected = 0;
  std::uint64_t crashes = 0;
  std::uint64_t power_cuts = 0;
  std::uint64_t shutdowns = 0;
  std::uint64_t stores_lost = 0;
  std::uint64_t rollbacks = 0;
  std::uint64_t cuts = 0;
  std::uint64_t partitions = 0;
  std::uint64_t clogs = 0;
  std::uint64_t store_failures = 0;
  std::uint64_t commits = 0;
  std::uint64_t flipped_bits = 0;
  std::uint64_t jumps = 0;
  std::uint64_t events = 0;
  std::uint64_t repeats = 0;  ///< messages consumed again in the documented window, or named
  std::uint64_t excused = 0;  ///< gaps and repetitions without evidence
  /// The longest time from calm to converged, and the most frames per message in it.
  std::chrono::nanoseconds slowest{};
  double most_frames = 0;

  void add(const totals& other);
};

struct outcome {
  simulation::failure failure;
  std::uint64_t hash = 0;  ///< of all that happened: the same for the same plan
  std::vector<std::string> trace;
  simulation::totals totals;
};

/// Plays a plan to its end. The same plan is played in the same way.
outcome play(const plan& p, const playing& how = {});

}  // namespace simulation
