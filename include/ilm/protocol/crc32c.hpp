#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ilm::inline v0::protocol {

namespace detail {

using crc_tables = std::array<std::array<std::uint32_t, 256>, 8>;

constexpr crc_tables make_crc_tables() noexcept {
  crc_tables t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    t[0][i] = crc;
  }
  for (std::size_t k = 1; k < t.size(); ++k) {
    for (std::size_t i = 0; i < 256; ++i) {
      t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xff];
    }
  }
  return t;
}

inline constexpr crc_tables crc32c_tables = make_crc_tables();

}  // namespace detail

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes a step (Kounavis and Berry, "A
/// Systematic Approach to Building High Performance Software-based CRC Generators", 2005).
/// `before` is the result for the bytes before `data`.
inline std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t before = 0) noexcept {
  const auto& t = detail::crc32c_tables;
  std::uint32_t crc = ~before;
  const std::byte* p = data.data();
  std::size_t left = data.size();
  auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(p[i]); };
  for (; left >= 8; left -= 8, p += 8) {
    std::uint32_t low = crc ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    crc = t[7][low & 0xff] ^ t[6][(low >> 8) & 0xff] ^ t[5][(low >> 16) & 0xff] ^ t[4][low >> 24] ^
          t[3][at(4)] ^ t[2][at(5)] ^ t[1][at(6)] ^ t[0][at(7)];
  }
  for (; left > 0; --left, ++p) crc = (crc >> 8) ^ t[0][(crc ^ at(0)) & 0xff];
  return ~crc;
}

}  // namespace ilm::inline v0::protocol
