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

// The rows of a sqlite_store: keys, checksums, encoded numbers. store.hpp has the schema.

namespace ilm::inline v0::detail {

inline constexpr unsigned row_index_bits = 40;
inline constexpr std::uint64_t row_index_mask = (std::uint64_t{1} << row_index_bits) - 1;
/// The highest `id` of a peer: a key has 63 bits.
inline constexpr std::uint64_t maximum_peer_row = (std::uint64_t{1} << (63 - row_index_bits)) - 1;

inline std::array<std::byte, 8> big_endian(std::uint64_t value) noexcept {
  std::array<std::byte, 8> out{};
  for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(value >> (56 - 8 * i));
  return out;
}

inline std::string text_of_name(std::span<const std::byte> name) {
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

inline std::uint64_t row_key(std::uint64_t id, std::uint64_t index) noexcept {
  return id << row_index_bits | (index & row_index_mask);
}

inline std::uint32_t peer_row_checksum(std::uint64_t id, std::span<const std::byte> name,
                                       std::span<const std::byte> stored) noexcept {
  return crc32c(stored, crc32c(name, crc32c(big_endian(id))));
}

inline std::uint32_t message_row_checksum(queue which, std::uint64_t id, const stored_message& m,
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
  std::uint32_t sum = crc32c(contents, crc32c(head));
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
  for (std::size_t at = 0; at < 8; ++at) {
    p.high = p.high << 8 | std::to_integer<std::uint64_t>(stored[at]);
    p.low = p.low << 8 | std::to_integer<std::uint64_t>(stored[at + 8]);
  }
  return p;
}

}  // namespace ilm::inline v0::detail
