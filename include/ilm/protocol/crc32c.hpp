#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

// The attribute of functions that use the processor's instruction, where it can have one.
#if defined(__GNUC__) && defined(__x86_64__)
#define ILM_CRC32C_INSTRUCTION __attribute__((target("sse4.2")))
#include <cpuid.h>
#elif defined(__GNUC__) && defined(__aarch64__) && defined(__linux__) && !defined(__AARCH64EB__)
#define ILM_CRC32C_INSTRUCTION __attribute__((target("+crc")))
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

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

/// The steps of CRC-32C over whole groups of eight bytes by tables, and over the bytes after them
/// (Kounavis and Berry, "A Systematic Approach to Building High Performance Software-based CRC
/// Generators", 2005).
inline std::uint32_t crc32c_by_tables(std::uint32_t crc, const std::byte* p,
                                      std::size_t left) noexcept {
  const auto& t = detail::crc32c_tables;
  auto at = [&](std::size_t i) { return std::to_integer<std::uint32_t>(p[i]); };
  for (; left >= 8; left -= 8, p += 8) {
    std::uint32_t low = crc ^ (at(0) | at(1) << 8 | at(2) << 16 | at(3) << 24);
    crc = t[7][low & 0xff] ^ t[6][(low >> 8) & 0xff] ^ t[5][(low >> 16) & 0xff] ^ t[4][low >> 24] ^
          t[3][at(4)] ^ t[2][at(5)] ^ t[1][at(6)] ^ t[0][at(7)];
  }
  for (; left > 0; --left, ++p) crc = (crc >> 8) ^ t[0][(crc ^ at(0)) & 0xff];
  return crc;
}

#ifdef ILM_CRC32C_INSTRUCTION

/// Whether this processor has the instruction of `crc32c_by_instruction`.
inline bool has_crc32c_instruction() noexcept {
  static const bool has = [] {
#ifdef __x86_64__
    unsigned a = 0, b = 0, c = 0, d = 0;
    return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_2) != 0;
#else
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
  }();
  return has;
}

/// The same by the processor's instruction for it, in a fourth of the time for a message of 100
/// bytes, and in less for a longer one.
ILM_CRC32C_INSTRUCTION inline std::uint32_t crc32c_by_instruction(std::uint32_t crc,
                                                                  const std::byte* p,
                                                                  std::size_t left) noexcept {
  for (; left >= 8; left -= 8, p += 8) {
    std::uint64_t eight;
    std::memcpy(&eight, p, 8);
#ifdef __x86_64__
    crc = static_cast<std::uint32_t>(__builtin_ia32_crc32di(crc, eight));
#else
    crc = __crc32cd(crc, eight);
#endif
  }
  for (; left > 0; --left, ++p) {
#ifdef __x86_64__
    crc = __builtin_ia32_crc32qi(crc, std::to_integer<unsigned char>(*p));
#else
    crc = __crc32cb(crc, std::to_integer<std::uint8_t>(*p));
#endif
  }
  return crc;
}

#endif

}  // namespace detail

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4). `before` is the result for the bytes before `data`.
inline std::uint32_t crc32c(std::span<const std::byte> data, std::uint32_t before = 0) noexcept {
#ifdef ILM_CRC32C_INSTRUCTION
  if (detail::has_crc32c_instruction()) {
    return ~detail::crc32c_by_instruction(~before, data.data(), data.size());
  }
#endif
  return ~detail::crc32c_by_tables(~before, data.data(), data.size());
}

}  // namespace ilm::inline v0::protocol
