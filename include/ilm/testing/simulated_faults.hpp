#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ilm::inline v0::testing {

/// The time a frame is under way: never less than `least`.
struct frame_delay {
  enum class shape : std::uint8_t {
    constant,      ///< `least`
    uniform,       ///< `least` to `least + spread`, each equally likely
    heavy_tailed,  ///< `least` plus a Pareto draw: half within `spread`, one in a million 1000
                   ///< times
  };

  shape form = shape::constant;
  std::chrono::nanoseconds least{};
  std::chrono::nanoseconds spread{};
};

/// The faults of a simulated network in one direction. Probabilities are from 0 to 1,
/// each drawn for each frame.
struct link_faults {
  double loss = 0;
  double repetition = 0;
  /// Delays a frame by up to `reordering_delay` more, so that later ones overtake it.
  double reordering = 0;
  /// Flips a random bit.
  double corruption = 0;
  frame_delay delay;
  std::chrono::nanoseconds reordering_delay = std::chrono::milliseconds(10);
};

/// Counts of frames in a simulated network.
struct simulated_network_counts {
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t repeated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t corrupted = 0;
  std::uint64_t arrived = 0;
  std::uint64_t injected = 0;
};

/// Draws faults from a seed: xorshift64* (Vigna, "An experimental exploration of Marsaglia's
/// xorshift generators", 2016). A seed of 0 has no cycle and is replaced.
class fault_generator {
 public:
  explicit fault_generator(std::uint64_t seed) noexcept
      : state_(seed != 0 ? seed : ~std::uint64_t{0}) {}

  /// True with the given probability; draws nothing if that is 0.
  bool draw(double probability) noexcept {
    if (probability <= 0) return false;
    return static_cast<double>(next() >> fraction_shift) < probability * 0x1p53;
  }

  std::chrono::nanoseconds draw(const frame_delay& d) noexcept {
    switch (d.form) {
      case frame_delay::shape::uniform:
        return d.least + up_to(d.spread);
      case frame_delay::shape::heavy_tailed: {
        // Pareto with exponent 2, from 0: half the draws are below spread.
        double u = (static_cast<double>(next() >> fraction_shift) + 1) * 0x1p-53;
        double times = (1 / std::sqrt(u) - 1) / pareto_median;
        return d.least + std::chrono::nanoseconds(static_cast<std::int64_t>(
                             static_cast<double>(d.spread.count()) * std::min(times, most_times)));
      }
      case frame_delay::shape::constant:
        break;
    }
    return d.least;
  }

  /// From 0 to `limit`, each nanosecond equally likely; draws nothing if `limit` is negative.
  std::chrono::nanoseconds up_to(std::chrono::nanoseconds limit) noexcept {
    if (limit < std::chrono::nanoseconds::zero()) return {};
    return std::chrono::nanoseconds(
        static_cast<std::int64_t>(next() % (static_cast<std::uint64_t>(limit.count()) + 1)));
  }

  /// Flips one bit of a frame that is not empty.
  void corrupt(std::span<std::byte> frame) noexcept {
    auto bit = static_cast<std::byte>(1U << next() % 8);
    frame[next() % frame.size()] ^= bit;
  }

 private:
  /// A double has 53 bits of precision.
  static constexpr int fraction_shift = 64 - 53;
  /// The median of the Pareto draw: sqrt(2) - 1.
  static constexpr double pareto_median = 0.41421356237;
  static constexpr double most_times = 1000.0;

  std::uint64_t next() noexcept {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }

  std::uint64_t state_;
};

}  // namespace ilm::inline v0::testing
