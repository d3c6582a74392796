#pragma once

#include <ilm/protocol/entropy.hpp>
#include <ilm/protocol/random.hpp>

#include <cstdint>
#include <optional>
#include <random>

namespace ilm::inline v0::runtime {

/// The system's generator, asked at each use; or, for tests that repeat, one with a seed.
class system_entropy final : public protocol::entropy {
 public:
  explicit system_entropy(std::optional<std::uint64_t> seed) {
    if (seed) seeded_.emplace(*seed);
  }

  std::uint64_t next() override {
    if (seeded_) return seeded_->next();
    return static_cast<std::uint64_t>(device_()) << 32 | device_();
  }

 private:
  std::optional<protocol::random_source> seeded_;
  std::random_device device_;
};

}  // namespace ilm::runtime
