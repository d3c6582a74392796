#pragma once

#include <cstdint>

namespace ilm::inline v0::detail {

/// The random choices of a fabric: xorshift64* (Vigna, "An experimental exploration of Marsaglia's
/// xorshift generators", 2016).
class fault_source {
 public:
  /// The generator never leaves 0.
  explicit fault_source(std::uint64_t seed) : state_(seed != 0 ? seed : ~std::uint64_t{0}) {}

  std::uint64_t next() {
    state_ ^= state_ >> 12;
    state_ ^= state_ << 25;
    state_ ^= state_ >> 27;
    return state_ * 0x2545f4914f6cdd1d;
  }

  /// Whether an event of this probability happens. One that never happens takes no number.
  bool draw(double probability) {
    if (probability <= 0) return false;
    return static_cast<double>(next() >> 11) < probability * 0x1p53;
  }

 private:
  std::uint64_t state_;
};

}  // namespace ilm::inline v0::detail
