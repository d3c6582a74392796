#pragma once

#include <ilm/backend.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <system_error>

// Shared by the stores that keep rows of bytes: encoded numbers, and checksums that begin with a
// random number of the store.

namespace ilm::inline v0::detail {

inline std::array<std::byte, 8> big_endian(std::uint64_t value) noexcept {
  std::array<std::byte, 8> out{};
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(value >> (56 - 8 * i));
  return out;
}

/// Of up to 8 bytes.
inline std::uint64_t from_big_endian(std::span<const std::byte> in) noexcept {
  std::uint64_t value = 0;
  for (std::byte b : in) value = value << 8 | std::to_integer<std::uint64_t>(b);
  return value;
}

inline std::string text_of_name(std::span<const std::byte> name) {
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

/// Begins every checksum of a store, so that a row of another one never passes.
inline std::uint32_t checksum_seed(std::uint64_t seed) noexcept { return crc32c(big_endian(seed)); }

inline std::uint32_t store_row_checksum(std::uint64_t version, std::uint64_t seed,
                                        std::uint64_t holder, std::span<const std::byte> local,
                                        std::span<const std::byte> name) noexcept {
  std::uint32_t sum = checksum_seed(seed);
  for (std::uint64_t value : {version, holder, std::uint64_t{local.size()}}) {
    sum = crc32c(big_endian(value), sum);
  }
  return crc32c(name, crc32c(local, sum));
}

inline std::uint32_t peer_row_checksum(std::uint32_t seed, std::uint64_t id,
                                       std::span<const std::byte> name,
                                       std::span<const std::byte> stored) noexcept {
  return crc32c(stored, crc32c(name, crc32c(big_endian(id), seed)));
}

inline std::uint32_t message_row_checksum(std::uint32_t seed, queue which, std::uint64_t id,
                                          const stored_message& m,
                                          std::span<const std::byte> contents,
                                          std::span<const std::byte> attributes) noexcept {
  std::array<std::byte, 49> head{};
  head[0] = static_cast<std::byte>(which);
  std::size_t at = 1;
  for (std::uint64_t value : {id, m.index, m.sequence, m.salt, m.hash.high, m.hash.low}) {
    std::array<std::byte, 8> encoded = big_endian(value);
    std::memcpy(head.data() + at, encoded.data(), encoded.size());
    at += encoded.size();
  }
  std::uint32_t sum = crc32c(contents, crc32c(head, seed));
  // With their size, so that a byte cannot move from the contents to the attributes unnoticed.
  if (!attributes.empty()) sum = crc32c(attributes, crc32c(big_endian(attributes.size()), sum));
  return sum;
}

/// An incarnation or a hash: two numbers.
template <class Pair>
std::array<std::byte, 16> encode_pair(const Pair& p) noexcept {
  std::array<std::byte, 16> out{};
  std::array<std::byte, 8> high = big_endian(p.high), low = big_endian(p.low);
  std::copy(high.begin(), high.end(), out.begin());
  std::copy(low.begin(), low.end(), out.begin() + 8);
  return out;
}
/// Throws error::store_corrupt if it is not one.
template <class Pair>
Pair decode_pair(std::span<const std::byte> stored) {
  if (stored.size() != 16) throw std::system_error(error::store_corrupt);
  Pair p;
  p.high = from_big_endian(stored.first(8));
  p.low = from_big_endian(stored.last(8));
  return p;
}

}  // namespace ilm::inline v0::detail
