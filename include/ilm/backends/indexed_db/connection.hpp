#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/indexed_db/error.hpp>
#include <ilm/backends/indexed_db/rows.hpp>
#include <ilm/backends/indexed_db/script.hpp>
#include <ilm/browser/script_call.hpp>
#include <ilm/error.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <emscripten.h>
#include <span>
#include <string>
#include <system_error>
#include <utility>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace ilm::inline v0::detail {

/// A database of the browser's, and the lock of its name. See script.hpp; each operation ends the
/// call that it is given.
class indexed_db_connection {
 public:
  explicit indexed_db_connection(const std::string& name) {
    install_indexed_db_script();
    number_ = EM_ASM_INT(
        { return Module["ilmStores"].make(new TextDecoder().decode(HEAPU8.slice($0, $0 + $1))); },
        name.data(), name.size());
  }
  indexed_db_connection(const indexed_db_connection&) = delete;
  indexed_db_connection& operator=(const indexed_db_connection&) = delete;
  /// What is under way goes on to its end.
  ~indexed_db_connection() { close(); }

  void close() noexcept {
    if (int number = std::exchange(number_, 0)) {
      EM_ASM({ Module["ilmStores"].close($0); }, number);
    }
  }
  bool is_open() const noexcept { return number_ != 0; }
  /// Whether the browser has not closed the database.
  bool is_connected() const {
    return EM_ASM_INT(
        {
          const store = Module["ilmStores"].open.get($0);
          return store && store.database ? 1 : 0;
        },
        number_);
  }

  void lock(const script_call& call, std::chrono::milliseconds wait) const {
    EM_ASM({ Module["ilmStores"].lock($0, $1, $2); }, call.number(), number_,
           static_cast<double>(wait.count()));
  }
  /// `first`: the row of a store that does not exist yet; empty if it has to.
  void connect(const script_call& call, const row_bytes& first) const {
    EM_ASM({ Module["ilmStores"].connect($0, $1, $2, HEAPU8.slice($3, $3 + $4)); }, call.number(),
           number_, static_cast<int>(indexed_db_version), first.data(), first.size());
  }

  void begin(const script_call& call, const row_bytes& expected) const {
    EM_ASM({ Module["ilmStores"].begin($0, $1, HEAPU8.slice($2, $2 + $3)); }, call.number(),
           number_, expected.data(), expected.size());
  }
  /// Nothing changes.
  static void abort(const script_call& call) {
    EM_ASM({ Module["ilmStores"].abort($0); }, call.number());
  }
  static void put_owner(const script_call& call, const row_bytes& row) {
    EM_ASM({ Module["ilmStores"].put($0, "store", 1, HEAPU8.slice($1, $1 + $2)); }, call.number(),
           row.data(), row.size());
  }
  static void put_peer(const script_call& call, std::uint64_t id, const row_bytes& row) {
    EM_ASM({ Module["ilmStores"].put($0, "peer", $1, HEAPU8.slice($2, $2 + $3)); }, call.number(),
           static_cast<double>(id), row.data(), row.size());
  }
  static void erase_peer(const script_call& call, std::uint64_t id) {
    EM_ASM({ Module["ilmStores"].erase($0, "peer", $1); }, call.number(), static_cast<double>(id));
  }
  static void put_message(const script_call& call, queue which, const message_key& key,
                          const row_bytes& head, const stored_message& m) {
    // clang-format off
    EM_ASM(({
      const row = new Uint8Array($4 + $6 + $8);
      row.set(HEAPU8.subarray($3, $3 + $4), 0);
      row.set(HEAPU8.subarray($5, $5 + $6), $4);
      row.set(HEAPU8.subarray($7, $7 + $8), $4 + $6);
      Module["ilmStores"].put($0, $1 ? "inbox" : "outbox", HEAPU8.slice($2, $2 + 16).buffer, row);
    }), call.number(), static_cast<int>(which), key.data(), head.data(), head.size(),
        m.contents.view().data(), m.contents.size(), m.attributes.view().data(),
        m.attributes.size());
    // clang-format on
  }
  /// The messages from `first` up to `end`.
  static void erase_messages(const script_call& call, queue which, const message_key& first,
                             const message_key& end) {
    // clang-format off
    EM_ASM(({
      const bound = (key) => HEAPU8.slice(key, key + 16).buffer;
      const range = IDBKeyRange.bound(bound($2), bound($3), false, true);
      Module["ilmStores"].erase($0, $1 ? "inbox" : "outbox", range);
    }), call.number(), static_cast<int>(which), first.data(), end.data());
    // clang-format on
  }

  /// The messages from `first` to `last`.
  void read(const script_call& call, queue which, const message_key& first, const message_key& last,
            page_limit limit) const {
    // clang-format off
    EM_ASM(({
      const bound = (key) => HEAPU8.slice(key, key + 16).buffer;
      const range = IDBKeyRange.bound(bound($3), bound($4));
      Module["ilmStores"].read($0, $1, $2 ? "inbox" : "outbox", range, $5, $6, $7);
    }), call.number(), number_, static_cast<int>(which), first.data(), last.data(),
        message_head_size, static_cast<double>(limit.messages), static_cast<double>(limit.bytes));
    // clang-format on
  }

 private:
  int number_ = 0;
};

/// The error of a call that failed. None if it did not.
inline std::error_code error_of(const script_call& call) {
  std::string name = call.error();
  if (name.empty()) return {};
  if (name == "InUse") return error::store_in_use;
  if (name == "Unavailable" || name == "SecurityError") return indexed_db_error::unavailable;
  if (name == "VersionError") return indexed_db_error::newer_version;
  if (name == "Foreign") return indexed_db_error::foreign_database;
  if (name == "Lost") return indexed_db_error::store_lost;
  if (name == "TakenOver") return indexed_db_error::taken_over;
  if (name == "QuotaExceededError") return indexed_db_error::quota_exceeded;
  return indexed_db_error::failed;
}

}  // namespace ilm::inline v0::detail

#pragma clang diagnostic pop
