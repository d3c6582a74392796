#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/rows.hpp>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

// The rows of a sqlite_store: keys, and marks of a store. store.hpp has the schema.

namespace ilm::inline v0::detail {

inline constexpr unsigned row_index_bits = 40;
inline constexpr std::uint64_t row_index_mask = (std::uint64_t{1} << row_index_bits) - 1;
/// The highest `id` of a peer: a key has 63 bits.
inline constexpr std::uint64_t maximum_peer_row = (std::uint64_t{1} << (63 - row_index_bits)) - 1;

inline std::uint64_t row_key(std::uint64_t id, std::uint64_t index) noexcept {
  return id << row_index_bits | (index & row_index_mask);
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

}  // namespace ilm::inline v0::detail
