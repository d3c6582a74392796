#pragma once

// All crashes of a history, and all pairs of them.

#include "crash_plan.hpp"
#include "histories.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace crash_points {

/// Limits that show an endless exchange: frames and simulated time from the last restart until
/// convergence.
struct bounds {
  std::uint64_t frames = 0;
  std::chrono::nanoseconds time{};
};

/// The result of enumerating one history.
struct summary {
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
  /// Whether pairs, too, crash either side or both at each point, and not only the side that passes
  /// the point.
  bool any_victim = false;
  /// Whether crashes are also tried with a late restart, and on a network that reports no `down`.
  bool every_way = false;
  sabotage defect = sabotage::none;
  /// Limits from the last restart until convergence.
  std::chrono::nanoseconds slowest = 1s;
  std::uint64_t most_frames = 40;
};

summary enumerate(const history& h, const enumeration& how);

/// The plan as `--replay` takes it, and back; throws std::invalid_argument.
std::string replay_of(const history& h, const plan& p);
plan read_plan(const std::string& text, std::string& history_name);

}  // namespace crash_points
