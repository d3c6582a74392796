#pragma once

#include <chrono>

namespace ilm::inline v0::protocol {

/// A moment: nanoseconds since an origin that only the caller knows. The core reads no clock.
using timestamp = std::chrono::nanoseconds;
using duration = std::chrono::nanoseconds;

inline constexpr timestamp never = timestamp::max();

/// `now + wait`, or `never` where the sum would not fit.
constexpr timestamp after(timestamp now, duration wait) noexcept {
  return now > never - wait ? never : now + wait;
}
/// Twice as long, or the longest that there is.
constexpr duration doubled(duration d) noexcept {
  return d > duration::max() / 2 ? duration::max() : d * 2;
}

}  // namespace ilm::inline v0::protocol
