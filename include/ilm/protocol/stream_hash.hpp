#pragma once

#include <ilm/stored.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace ilm::inline v0::protocol {

namespace detail {

/// The product of both, 128 bits, folded: its upper half exclusive or its lower half.
constexpr std::uint64_t fold(std::uint64_t a, std::uint64_t b) noexcept {
#if defined(__SIZEOF_INT128__)
  __extension__ using wide = unsigned __int128;
  wide product = static_cast<wide>(a) * b;
  return static_cast<std::uint64_t>(product >> 64) ^ static_cast<std::uint64_t>(product);
#else
  std::uint64_t a_low = a & 0xffffffff, a_high = a >> 32;
  std::uint64_t b_low = b & 0xffffffff, b_high = b >> 32;
  std::uint64_t low = a_low * b_low, high = a_high * b_high;
  std::uint64_t cross = a_high * b_low + (low >> 32);
  std::uint64_t middle = a_low * b_high + (cross & 0xffffffff);
  return (high + (cross >> 32) + (middle >> 32)) ^ ((middle << 32) | (low & 0xffffffff));
#endif
}

/// Mixes words into a hash. Two lanes: one multiplies, the other one remembers what a product of
/// 0 would forget.
class stream_hasher {
 public:
  constexpr explicit stream_hasher(const stream_hash& h) noexcept : high_(h.high), low_(h.low) {}

  constexpr void mix(std::uint64_t a, std::uint64_t b) noexcept {
    std::uint64_t product = fold(high_ ^ a ^ 0x9e3779b97f4a7c15, low_ ^ b ^ 0xd1b54a32d192ed03);
    low_ = (std::rotl(low_, 29) + b) ^ (a * 0x8cb92ba72f3d8dd7);
    high_ = product;
  }
  /// Sixteen bytes at a time, the last ones filled up with zeros.
  void mix(std::span<const std::byte> in) noexcept {
    std::size_t at = 0;
    for (; at + 16 <= in.size(); at += 16) mix(word(in.data() + at), word(in.data() + at + 8));
    if (at == in.size()) return;
    std::byte last[16] = {};
    std::memcpy(last, in.data() + at, in.size() - at);
    mix(word(last), word(last + 8));
  }
  constexpr stream_hash finish() noexcept {
    mix(low_, high_);
    return {high_ ^ low_, fold(low_ ^ 0xd1b54a32d192ed03, high_ | 1)};
  }

 private:
  /// Eight bytes as a number, the first byte the lowest.
  static std::uint64_t word(const std::byte* in) noexcept {
    std::uint64_t value;
    std::memcpy(&value, in, sizeof value);
    if constexpr (std::endian::native == std::endian::big) {
      std::uint64_t swapped = 0;
      for (; value != 0; value >>= 8) swapped = swapped << 8 | (value & 0xff);
      return swapped;
    }
    return value;
  }

  std::uint64_t high_, low_;
};

}  // namespace detail

/// The running hash of a stream after a message, given that of the messages before it. Not a
/// secret, and no proof against somebody who seeks two messages of one hash: it keeps histories
/// apart that went different ways by accident.
inline stream_hash extend(const stream_hash& before, std::uint64_t sequence, std::uint64_t salt,
                          std::span<const std::byte> contents,
                          std::span<const std::byte> attributes = {}) noexcept {
  detail::stream_hasher hasher(before);
  hasher.mix(sequence, salt);
  hasher.mix(contents.size(), attributes.size());
  hasher.mix(attributes);
  hasher.mix(contents);
  return hasher.finish();
}

inline stream_hash extend(const stream_hash& before, const stored_message& m) noexcept {
  return extend(before, m.sequence, m.salt, m.contents.view(), m.attributes.view());
}

}  // namespace ilm::protocol
