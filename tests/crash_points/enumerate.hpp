#pragma once

// All crashes of a history, and all pairs of them.

#include "histories.hpp"
#include "words.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace crash_points {

/// What goes wrong in a run if nothing ever stops: frames until all has come to rest after the last
/// restart, and simulated time.
struct bounds {
  std::uint64_t frames = 0;
  std::chrono::nanoseconds time{};
};

/// What the enumeration of one history found.
struct tally {
  std::string name;
  std::uint64_t points = 0;  ///< in the run without crashes
  std::uint64_t singles = 0;
  std::uint64_t pairs = 0;
  std::uint64_t failed = 0;
  bounds most;
  std::chrono::nanoseconds took{};
  std::vector<std::string> reports;  ///< of the first failures
};

struct enumeration {
  bool pairs = false;
  /// Whether in pairs, too, each point is one where either side or both may crash, and not only the
  /// one whose point it is.
  bool any_victim = false;
  /// Whether crashes are also tried with a late restart, and on a network that tells nothing.
  bool every_way = false;
  sabotage defect = sabotage::none;
  /// Simulated time and frames that may pass between the last restart and rest.
  std::chrono::nanoseconds slowest = 1s;
  std::uint64_t most_frames = 40;
};

tally enumerate(const history& h, const enumeration& how);

/// The plan as `--replay` takes it, and back; throws std::invalid_argument.
std::string words_of(const history& h, const plan& p);
plan read_plan(const std::string& words, std::string& history_name);

}  // namespace crash_points
