#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace test {

/// A sequence or a random number as an index or a size, which has 32 bits on some machines.
constexpr std::size_t as_size(std::uint64_t n) noexcept {
  assert(n == static_cast<std::size_t>(n));
  return static_cast<std::size_t>(n);
}

}  // namespace test
