#pragma once

#include <ilm/backend.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

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

/// Of up to 8 bytes.
inline std::uint64_t from_big_endian(std::span<const std::byte> in) noexcept {
  std::uint64_t value = 0;
  for (std::byte b : in) value = value << 8 | std::to_integer<std::uint64_t>(b);
  return value;
}

inline std::string text_of_name(std::span<const std::byte> name) {
  return {reinterpret_cast<const char*>(name.data()), name.size()};
}

inline std::uint64_t row_key(std::uint64_t id, std::uint64_t index) noexcept {
  return id << row_index_bits | (index & row_index_mask);
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

/// The state of a store in two numbers, by which it is seen whether it is a later one's.
struct store_mark {
  std::uint64_t rows = 0;      ///< the sum of the checksums of the store's own row and each peer's
  std::uint64_t progress = 0;  ///< the sum of cursors: less only where a peer was forgotten

  friend bool operator==(const store_mark&, const store_mark&) = default;
  friend store_mark operator+(store_mark a, const store_mark& b) noexcept {
    a.rows += b.rows;
    a.progress += b.progress;
    return a;
  }
  friend store_mark operator-(store_mark a, const store_mark& b) noexcept {
    a.rows -= b.rows;
    a.progress -= b.progress;
    return a;
  }
};
inline store_mark mark_of_row(std::uint64_t checksum) noexcept {
  store_mark m;
  m.rows = checksum;
  return m;
}
inline store_mark mark_of_row(std::uint64_t checksum, const cursors& c) noexcept {
  store_mark m = mark_of_row(checksum);
  m.progress = c.outbox.first + c.outbox.next + c.inbox.first + c.inbox.next;
  return m;
}

/// The keys that a table of messages may have, by the cursors of its peers.
class row_ranges {
 public:
  /// The messages from `first` up to `next` of a peer. In order of `id`.
  void add(std::uint64_t id, std::uint64_t first, std::uint64_t next) {
    if (first >= next) return;
    if (next - first > row_index_mask) return add_keys(row_key(id, 0), row_key(id, row_index_mask));
    std::uint64_t from = row_key(id, first), to = row_key(id, next - 1);
    if (from <= to) return add_keys(from, to);
    // The keys begin anew between them.
    add_keys(row_key(id, 0), to);
    add_keys(from, row_key(id, row_index_mask));
  }

  /// Calls `visit(first, last)` for the keys that none can have.
  template <class Visit>
  void for_each_gap(Visit visit) const {
    using limits = std::numeric_limits<std::int64_t>;
    std::int64_t from = limits::min();
    for (const auto& [first, last] : ranges_) {
      if (from < first) visit(from, first - 1);
      if (last == limits::max()) return;
      from = last + 1;
    }
    visit(from, limits::max());
  }

 private:
  void add_keys(std::uint64_t first, std::uint64_t last) {
    ranges_.emplace_back(static_cast<std::int64_t>(first), static_cast<std::int64_t>(last));
  }

  std::vector<std::pair<std::int64_t, std::int64_t>> ranges_;
};

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
