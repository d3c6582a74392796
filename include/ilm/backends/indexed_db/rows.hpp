#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/rows.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <vector>

// The rows of an indexed_db_backend, each an ArrayBuffer. Numbers are big-endian; a checksum is
// the CRC-32C of all else in the row and its key, and begins with the store's seed.
//
// | object store | key                          | row |
// |--------------|------------------------------|--------------------------------------------------|
// | `store`      | 1                            | checksum, version, seed, number of commits,
//                                                 incarnation, encoded local id |
// | `peer`       | number of the peer           | checksum, cursors, encoded peer id | | `outbox`
// | number of the peer and index | checksum, sequence, salt, hash, size of the
//                                                 contents, contents, attributes |
// | `inbox`      | the same                     | the same |
//
// All numbers have 8 bytes, the incarnation and the hash 16. The key of `peer` is a number of
// JavaScript's, that of a message the 16 bytes of its two numbers.

namespace ilm::inline v0::detail {

using row_bytes = std::vector<std::byte>;

inline constexpr std::uint64_t indexed_db_version = 1;

/// Puts a row together.
class row_writer {
 public:
  row_writer& number(std::uint64_t value) { return append(big_endian(value)); }
  row_writer& append(std::span<const std::byte> data) {
    row_.insert(row_.end(), data.begin(), data.end());
    return *this;
  }
  row_bytes take() { return std::move(row_); }

 private:
  row_bytes row_;
};

/// Takes a row apart. Throws error::store_corrupt beyond its end.
class row_reader {
 public:
  explicit row_reader(std::span<const std::byte> row) : rest_(row) {}

  std::uint64_t number() { return from_big_endian(take(8)); }
  template <class Pair>
  Pair pair() {
    return decode_pair<Pair>(take(16));
  }
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size()) throw std::system_error(error::store_corrupt);
    auto taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() const noexcept { return rest_; }

 private:
  std::span<const std::byte> rest_;
};

/// The row of `store`.
struct owner_row {
  std::uint64_t version = indexed_db_version;
  std::uint64_t seed = 0;
  std::uint64_t commits = 0;
  incarnation local;
  bytes local_id;

  row_bytes encode() const {
    std::array<std::byte, 16> encoded = encode_pair(local);
    std::uint32_t sum = store_row_checksum(version, seed, commits, encoded, local_id.view());
    row_writer w;
    w.number(sum).number(version).number(seed).number(commits).append(encoded);
    return w.append(local_id.view()).take();
  }
  /// Throws error::store_corrupt where the check fails.
  static owner_row decode(std::span<const std::byte> row) {
    row_reader in(row);
    in.number();
    owner_row r;
    r.version = in.number();
    r.seed = in.number();
    r.commits = in.number();
    r.local = in.pair<incarnation>();
    r.local_id = bytes(in.rest());
    if (!std::ranges::equal(r.encode(), row)) throw std::system_error(error::store_corrupt);
    return r;
  }
};

inline row_bytes encode_peer_row(std::uint32_t seed, std::uint64_t id,
                                 std::span<const std::byte> name, const cursors& c) {
  cursors::encoded encoded = c.encode();
  row_writer w;
  w.number(peer_row_checksum(seed, id, name, encoded)).append(encoded).append(name);
  return w.take();
}

struct peer_row {
  bytes name;
  cursors current;
};
/// Throws error::store_corrupt where the check fails.
inline peer_row decode_peer_row(std::uint32_t seed, std::uint64_t id,
                                std::span<const std::byte> row) {
  row_reader in(row);
  std::uint64_t sum = in.number();
  std::span<const std::byte> encoded = in.take(cursors::encoded_size);
  if (sum != peer_row_checksum(seed, id, in.rest(), encoded)) {
    throw std::system_error(error::store_corrupt);
  }
  peer_row r;
  r.current = cursors::decode(encoded.first<cursors::encoded_size>());
  r.name = bytes(in.rest());
  return r;
}

using message_key = std::array<std::byte, 16>;

inline message_key key_of_message(std::uint64_t id, std::uint64_t index) {
  message_key key{};
  std::array<std::byte, 8> high = big_endian(id), low = big_endian(index);
  std::copy(high.begin(), high.end(), key.begin());
  std::copy(low.begin(), low.end(), key.begin() + 8);
  return key;
}

/// All of a message's row but its contents and attributes.
inline constexpr std::size_t message_head_size = 8 + 8 + 8 + 16 + 8;

inline row_bytes encode_message_head(std::uint32_t seed, queue which, std::uint64_t id,
                                     const stored_message& m) {
  row_writer w;
  w.number(message_row_checksum(seed, which, id, m, m.contents.view(), m.attributes.view()));
  w.number(m.sequence).number(m.salt).append(encode_pair(m.hash)).number(m.contents.size());
  return w.take();
}

/// None where the check fails.
inline std::optional<stored_message> decode_message(std::uint32_t seed, queue which,
                                                    std::uint64_t id, std::uint64_t index,
                                                    std::span<const std::byte> row) {
  if (row.size() < message_head_size) return std::nullopt;
  row_reader in(row);
  std::uint64_t sum = in.number();
  stored_message m;
  m.index = index;
  m.sequence = in.number();
  m.salt = in.number();
  m.hash = in.pair<stream_hash>();
  std::uint64_t size = in.number();
  if (size > in.rest().size()) return std::nullopt;
  std::span<const std::byte> contents = in.take(size), attributes = in.rest();
  if (sum != message_row_checksum(seed, which, id, m, contents, attributes)) return std::nullopt;
  m.contents = bytes(contents);
  m.attributes = bytes(attributes);
  return m;
}

}  // namespace ilm::inline v0::detail
