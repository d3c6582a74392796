#pragma once

#include <ilm/backends/sqlite/error.hpp>
#include <ilm/error.hpp>

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>

// SQLite's C API with owners and exceptions; no more of it than the backend needs.

namespace ilm::inline v0::detail {

inline void sqlite_check(int result) {
  if (result != SQLITE_OK) throw std::system_error(result, sqlite_category());
}

/// A prepared statement. Bound bytes must live until it is reset; `run` and `rows_left` reset it.
class sqlite_statement {
 public:
  sqlite_statement() = default;
  sqlite_statement(sqlite3* database, const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    int result =
        sqlite3_prepare_v3(database, sql.c_str(), -1, SQLITE_PREPARE_PERSISTENT, &made, nullptr);
    statement_.reset(made);
    // Our SQL is right for tables that are as we made them.
    if (result == SQLITE_ERROR) {
      throw std::system_error(error::store_corrupt, sqlite3_errmsg(database));
    }
    if (result != SQLITE_OK) {
      throw std::system_error(sqlite3_extended_errcode(database), sqlite_category());
    }
  }

  sqlite_statement& bind(int at, std::uint64_t value) {
    sqlite_check(sqlite3_bind_int64(statement_.get(), at, static_cast<sqlite3_int64>(value)));
    return *this;
  }
  sqlite_statement& bind(int at, std::span<const std::byte> value) {
    // A null pointer would bind NULL, and a message may be empty.
    const void* data = value.empty() ? "" : static_cast<const void*>(value.data());
    sqlite_check(sqlite3_bind_blob64(statement_.get(), at, data, value.size(), SQLITE_STATIC));
    return *this;
  }

  sqlite_statement& bind_null(int at) {
    sqlite_check(sqlite3_bind_null(statement_.get(), at));
    return *this;
  }

  /// True if there is another row.
  bool step() {
    int result = sqlite3_step(statement_.get());
    if (result == SQLITE_ROW) return true;
    int code = result == SQLITE_DONE
                   ? SQLITE_OK
                   : sqlite3_extended_errcode(sqlite3_db_handle(statement_.get()));
    reset();
    sqlite_check(code);
    return false;
  }
  void run() {
    while (step()) {
    }
  }
  void reset() noexcept { sqlite3_reset(statement_.get()); }

  std::uint64_t number(int column) const noexcept {
    return static_cast<std::uint64_t>(sqlite3_column_int64(statement_.get(), column));
  }
  bool is_null(int column) const noexcept {
    return sqlite3_column_type(statement_.get(), column) == SQLITE_NULL;
  }
  std::string text(int column) const {
    const unsigned char* found = sqlite3_column_text(statement_.get(), column);
    return found == nullptr ? std::string() : reinterpret_cast<const char*>(found);
  }
  /// Valid until the next step or reset.
  std::span<const std::byte> blob(int column) const noexcept {
    const void* data = sqlite3_column_blob(statement_.get(), column);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), column));
    return {static_cast<const std::byte*>(data), data == nullptr ? 0 : size};
  }

 private:
  struct finalize {
    void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
  };
  std::unique_ptr<sqlite3_stmt, finalize> statement_;
};

/// Resets a statement that was not run to its end.
class sqlite_reset {
 public:
  explicit sqlite_reset(sqlite_statement& s) noexcept : statement_(s) {}
  sqlite_reset(const sqlite_reset&) = delete;
  sqlite_reset& operator=(const sqlite_reset&) = delete;
  ~sqlite_reset() { statement_.reset(); }

 private:
  sqlite_statement& statement_;
};

/// One connection to one file, for one thread at a time.
class sqlite_connection {
 public:
  /// Opens the file, or makes it. An empty `vfs` names SQLite's default.
  sqlite_connection(const std::string& file, const std::string& vfs) {
    sqlite3* made = nullptr;
    int result = sqlite3_open_v2(file.c_str(), &made,
                                 SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                                 vfs.empty() ? nullptr : vfs.c_str());
    database_.reset(made);
    if (made != nullptr) sqlite3_extended_result_codes(made, 1);
    // Until it is known that all is well, the log is evidence.
    keep_log_on_close(true);
    if (result != SQLITE_OK) {
      throw std::system_error(made == nullptr ? SQLITE_NOMEM : sqlite3_extended_errcode(made),
                              sqlite_category());
    }
  }

  sqlite3* get() const noexcept { return database_.get(); }
  sqlite_statement prepare(const std::string& sql) const { return {database_.get(), sql}; }

  void execute(const std::string& sql) const { prepare(sql).run(); }
  std::uint64_t number(const std::string& sql) const {
    sqlite_statement s = prepare(sql);
    return s.step() ? s.number(0) : 0;
  }
  std::string text(const std::string& sql) const {
    sqlite_statement s = prepare(sql);
    return s.step() ? s.text(0) : std::string();
  }
  /// Leaves the write-ahead log as it is when the connection closes, which then takes no time.
  void keep_log_on_close(bool keep) const noexcept {
    if (!database_) return;
    sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, keep ? 1 : 0, nullptr);
  }
  bool in_transaction() const noexcept { return sqlite3_get_autocommit(database_.get()) == 0; }

 private:
  struct close {
    void operator()(sqlite3* d) const noexcept { sqlite3_close_v2(d); }
  };
  std::unique_ptr<sqlite3, close> database_;
};

}  // namespace ilm::inline v0::detail
