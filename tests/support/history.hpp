#pragma once

// Random histories of whole messengers, and a checker that stands outside: it knows what was sent,
// what the applications took and what the events said, and shares no code with the library.

#include <cstdint>
#include <string>

namespace test {

/// What may happen in a history besides sends, faults of the network and crashes.
struct history_profile {
  bool lost_stores = true;
  bool old_copies = false;
  double heaviest_fault = 0.5;
};

struct history_result {
  std::string failure;  ///< empty if everything held
  std::string log;      ///< what happened, step by step
  std::uint64_t messages = 0;
  std::uint64_t crashes = 0;
  std::uint64_t stores_lost = 0;
  std::uint64_t frames = 0;
};

/// Plays the history of a seed. The same seed plays the same history.
history_result play(std::uint64_t seed, const history_profile& profile);

}  // namespace test
