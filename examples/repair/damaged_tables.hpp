#pragma once

#include "files.hpp"

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/rows.hpp>
#include <ilm/backends/sqlite/schema.hpp>
#include <ilm/error.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

inline constexpr std::array<ilm::queue, 2> both_queues{ilm::queue::outbox, ilm::queue::inbox};

inline std::string name_of(ilm::queue which) {
  return which == ilm::queue::outbox ? "outbox" : "inbox";
}

struct peer_row {
  std::string name;
  bool whole = false;
  ilm::cursors where;  ///< if whole

  std::uint64_t first(ilm::queue which) const {
    return which == ilm::queue::outbox ? where.outbox.first : where.inbox.first;
  }
  std::uint64_t next(ilm::queue which) const {
    return which == ilm::queue::outbox ? where.outbox.next : where.inbox.next;
  }
  bool waits(ilm::queue which, std::uint64_t index) const {
    return first(which) <= index && index < next(which);
  }
};

using peer_rows = std::map<std::uint64_t, peer_row>;  ///< by `id`

/// The checksum's seed that gives a row its checksum: a CRC is linear in its initial value.
template <class Checksum>
std::uint32_t seed_for(Checksum checksum, std::uint32_t wanted) {
  std::uint32_t zero = checksum(0);
  std::array<std::pair<std::uint32_t, std::uint32_t>, 32> basis{};  // by the highest bit
  for (unsigned bit = 0; bit < 32; ++bit) {
    std::uint32_t origin = 1U << bit, value = checksum(origin) ^ zero;
    for (unsigned top = 32; top-- > 0;) {
      if ((value >> top & 1) == 0) continue;
      if (basis[top].first == 0) {
        basis[top] = {value, origin};
        break;
      }
      value ^= basis[top].first, origin ^= basis[top].second;
    }
  }
  std::uint32_t left = wanted ^ zero, seed = 0;
  for (unsigned top = 32; top-- > 0;) {
    if ((left >> top & 1) != 0) left ^= basis[top].first, seed ^= basis[top].second;
  }
  return seed;
}

struct message_row {
  std::int64_t key = 0;
  std::uint64_t time = 0, checksum = 0;
  ilm::stored_message m;  ///< without an index

  std::uint64_t peer() const noexcept {
    return static_cast<std::uint64_t>(key) >> store::row_index_bits;
  }
  std::uint32_t sum(std::uint32_t seed, ilm::queue which) const {
    return store::message_row_checksum(seed, which, peer(), m, m.contents.view(),
                                       m.attributes.view());
  }
  /// Finds the index, of which the key has 40 bits, by the cursors; false if the row is
  /// damaged.
  bool check(std::optional<std::uint32_t> seed, ilm::queue which, const peer_row* p) {
    std::uint64_t low = static_cast<std::uint64_t>(key) & store::row_index_mask;
    std::uint64_t first = p != nullptr && p->whole ? p->first(which) : 0;
    for (std::uint64_t index : {low, first + ((low - first) & store::row_index_mask)}) {
      m.index = index;
      if (seed && key > 0 && checksum == sum(*seed, which)) return true;
    }
    return false;
  }
};

/// The tables of a store in a copy that may be damaged anywhere.
class damaged_tables {
 public:
  damaged_tables(const fs::path& file, const std::string& prefix)
      : database_(file.string(), ""), schema_(database_, prefix) {}
  damaged_tables(const damaged_tables&) = delete;
  damaged_tables& operator=(const damaged_tables&) = delete;

  const store::sqlite_connection& database() const noexcept { return database_; }

  /// Whether all tables can be found.
  bool complete() const {
    return guarded([&] {
      for (const char* table : {"$store", "$peer", "$outbox", "$inbox"}) {
        schema_.sql("SELECT * FROM " + std::string(table));
      }
    });
  }

  struct own_row {
    std::uint64_t version = 0;
    std::uint32_t seed = 0;
  };

  /// The store's own row, if it is whole.
  std::optional<own_row> store_row() const {
    std::optional<own_row> found;
    guarded([&] {
      store::sqlite_statement s =
          schema_.sql("SELECT version, seed, holder, incarnation, local, checksum FROM $store");
      while (!found && s.step()) {
        std::uint32_t sum =
            store::store_row_checksum(s.number(0), s.number(1), s.number(2), s.blob(3), s.blob(4));
        if (s.number(5) != sum) continue;
        found.emplace();
        found->version = s.number(0);
        found->seed = store::checksum_seed(s.number(1));
      }
    });
    return found;
  }

  /// By the rows that can be read.
  store::store_mark mark() const {
    store::store_mark m;
    guarded([&] {
      store::sqlite_statement s = schema_.sql("SELECT checksum FROM $store");
      if (s.step()) m = store::mark_of_row(s.number(0));
    });
    each_peer([&](std::uint64_t, auto, std::span<const std::byte> stored, std::uint64_t checksum) {
      if (stored.size() != ilm::cursors::encoded_size) return;
      auto where = ilm::cursors::decode(stored.first<ilm::cursors::encoded_size>());
      m = m + store::mark_of_row(checksum, where);
    });
    return m;
  }

  /// Calls `visit(id, name, cursors, checksum)` for each row that can be read.
  template <class Visit>
  bool each_peer(Visit visit) const {
    return each_row(
        "SELECT id, name, cursors, checksum FROM $peer", "id", {{1, 1 << 16}},
        [&](store::sqlite_statement& s) { visit(s.number(0), s.blob(1), s.blob(2), s.number(3)); });
  }

  /// The same for messages. `ranges`: of the keys that there should be.
  template <class Visit>
  bool each_message(ilm::queue which,
                    const std::vector<std::pair<std::int64_t, std::int64_t>>& ranges,
                    Visit visit) const {
    return each_row(
        "SELECT key, sequence, salt, hash, time, checksum, contents, attributes FROM $" +
            name_of(which),
        "key", ranges, [&](store::sqlite_statement& s) {
          message_row row;
          row.key = static_cast<std::int64_t>(s.number(0));
          row.m.sequence = s.number(1);
          row.m.salt = s.number(2);
          if (s.blob(3).size() == 16) row.m.hash = store::decode_pair<ilm::stream_hash>(s.blob(3));
          row.time = s.number(4);
          row.checksum = s.number(5);
          row.m.contents = ilm::bytes(s.blob(6));
          row.m.attributes = ilm::bytes(s.blob(7));
          visit(row);
        });
  }

 private:
  using range = std::pair<std::int64_t, std::int64_t>;
  static constexpr unsigned maximum_statements = 20000;
  static constexpr std::int64_t narrow = 1 << 24;

  /// False if SQLite fails.
  template <class Work>
  static bool guarded(Work work) {
    try {
      work();
      return true;
    } catch (const std::system_error&) {
      return false;
    }
  }

  /// Visits the rows from one end of a range to the other; returns the part that was not reached.
  template <class Visit>
  std::optional<range> walk(const std::string& select, const std::string& key, range r, bool down,
                            Visit& visit) const {
    bool through = guarded([&] {
      store::sqlite_statement s = schema_.sql(
          select + " WHERE " + key + " BETWEEN ?1 AND ?2 ORDER BY " + key + (down ? " DESC" : ""));
      s.bind(1, static_cast<std::uint64_t>(r.first)).bind(2, static_cast<std::uint64_t>(r.second));
      while (s.step()) {
        auto at = static_cast<std::int64_t>(s.number(0));
        // A damaged page may lead in a circle.
        if (at < r.first || at > r.second) throw std::system_error(ilm::error::store_corrupt);
        visit(s);
        if (at == (down ? r.first : r.second)) return;
        (down ? r.second : r.first) = down ? at - 1 : at + 1;
      }
    });
    return through ? std::nullopt : std::optional(r);
  }

  /// Visits rows upwards to the first damage, downwards to the last, and halves the rest:
  /// a damaged page takes no rows with it but its own. True if there is no damage.
  template <class Visit>
  bool each_row(const std::string& select, const std::string& key, const std::vector<range>& ranges,
                Visit visit) const {
    using limits = std::numeric_limits<std::int64_t>;
    std::optional<range> left = walk(select, key, {limits::min(), limits::max()}, false, visit);
    if (!left) return true;
    left = walk(select, key, *left, true, visit);
    if (!left) return false;
    std::deque<range> todo;
    bool is_narrow =
        static_cast<std::uint64_t>(left->second) - static_cast<std::uint64_t>(left->first) <
        std::uint64_t{narrow};
    if (is_narrow) todo.push_back(*left);
    for (const range& r : ranges) {
      range part{std::max(r.first, left->first), std::min(r.second, left->second)};
      if (!is_narrow && part.first <= part.second) todo.push_back(part);
    }
    for (unsigned count = 0; !todo.empty() && count < maximum_statements; ++count) {
      std::optional<range> part = walk(select, key, todo.front(), false, visit);
      todo.pop_front();
      if (part) part = walk(select, key, *part, true, visit);
      if (!part || part->first >= part->second) continue;
      std::int64_t middle = part->first + (part->second - part->first) / 2;
      todo.emplace_back(part->first, middle);
      todo.emplace_back(middle + 1, part->second);
    }
    return false;
  }

  store::sqlite_connection database_;
  store::sqlite_schema schema_;
};
