#pragma once

#include <ilm/protocol/entropy.hpp>
#include <ilm/protocol/time.hpp>

#include <cstdint>

namespace ilm::inline v0::protocol {

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
/// Not for secrets: it keeps late frames and clones apart, not attackers.
class random_source {
 public:
  explicit random_source(std::uint64_t seed) noexcept : state_(seed) {}

  std::uint64_t next() noexcept {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Never 0, which stands for "none" wherever a random number is a name.
  std::uint64_t next_nonzero() noexcept {
    std::uint64_t value = next();
    return value != 0 ? value : 1;
  }

  /// From 0 to `bound - 1`; 0 if `bound` is 0.
  std::uint64_t below(std::uint64_t bound) noexcept { return bound == 0 ? 0 : next() % bound; }

  /// `base` plus up to a quarter, so that two sides that failed together do not retry together.
  duration jitter(duration base) noexcept {
    return after(base, duration(below(static_cast<std::uint64_t>(base.count()) / 4 + 1)));
  }

 private:
  std::uint64_t state_;
};

/// The same numbers for the same seed: for tests and simulations.
class seeded_entropy final : public entropy {
 public:
  explicit seeded_entropy(std::uint64_t seed) noexcept : random_(seed) {}

  std::uint64_t next() override { return random_.next(); }

 private:
  random_source random_;
};

}  // namespace ilm::protocol
