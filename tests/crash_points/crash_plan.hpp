#pragma once

// Sides, the points that they pass, plans of crashes, and outcomes.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace crash_points {

using namespace std::chrono_literals;

/// One of the two peers.
using side = std::size_t;
inline constexpr side side_a = 0;
inline constexpr side side_b = 1;
inline constexpr side other(side s) noexcept { return 1 - s; }
inline std::string name_of(side s) { return s == side_a ? "a" : "b"; }

/// Where a side can be when it crashes.
enum class place : std::uint8_t {
  before_open,
  after_open,
  before_commit,
  after_commit,
  before_read,
  after_read,
  before_close,
  after_close,
  before_send,
  after_send,
  before_receive,
  after_handling,
  before_taking,
  at_work,
  after_taking,
};
std::string name_of(place p);

/// The kind of an application.
enum class role : std::uint8_t {
  plain,   ///< takes messages
  relay,   ///< answers each, in one commit with its consumption
  reader,  ///< likewise, with an inbox: works for a while, and consumes
};

/// A set of sides.
using sides = unsigned;
inline constexpr sides only(side s) noexcept { return 1U << s; }
inline constexpr sides both = 3;
inline constexpr bool has(sides all, side s) noexcept { return (all & only(s)) != 0; }

/// `victims` crash at the `point`-th point that the two sides pass together.
struct crash {
  sides victims = 0;
  std::uint64_t point = 0;
};

/// The crashes of one run of a history.
struct plan {
  std::vector<crash> crashes;  ///< in order of their points
  /// Restart long after the other side has noticed the crash, instead of at once.
  bool late = false;
  /// The network reports `up` once and never `down`.
  bool silent_network = false;
};

/// Defects planted on purpose, in the parts around the messenger, to see them found.
enum class sabotage : std::uint8_t {
  none,
  forgetful,  ///< a crash takes back the store's last completed commit
  hasty,      ///< a store that says "done" before the change is in it
  repeating,  ///< each delivery after a restart comes twice
  dropping,   ///< the first message after a restart never reaches the application
  lying,      ///< a side's first ack claims more than its store has
  apart,      ///< a reader's answers are not sent with the consumption
};

/// The outcome of one run.
struct outcome {
  std::vector<std::string> failures;
  std::vector<side> points;  ///< the side that passed each point, in order
  std::size_t crashed = 0;   ///< crashes of the plan that happened
  std::uint64_t frames = 0;  ///< most frames between the last restart and convergence
  std::chrono::nanoseconds time{};
};

}  // namespace crash_points
