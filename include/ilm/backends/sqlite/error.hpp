#pragma once

#include <sqlite3.h>

#include <string>
#include <system_error>

namespace ilm::inline v0 {

/// Errors in a database that SQLite itself has nothing against. Values beyond SQLite's
/// own result codes, with which they share a category.
enum class sqlite_error {
  newer_version = 1 << 24,
  foreign_database,
  not_wal,
  is_a_directory,
  no_such_directory,
  too_many_peers,
  older_version,
  file_moved,
  taken_over,
  several_names,
};

namespace detail {

class sqlite_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ilm.sqlite"; }

  std::string message(int value) const override {
    switch (static_cast<sqlite_error>(value)) {
      case sqlite_error::newer_version:
        return "the store was written by a newer version of ILM; update this program";
      case sqlite_error::foreign_database:
        return "the database belongs to another application; name another file, or set "
               "sqlite_options::table_prefix to keep ILM's tables in it";
      case sqlite_error::not_wal:
        return "the database is not in WAL mode, and SQLite would not switch it; close other "
               "connections to it, or run PRAGMA journal_mode=WAL";
      case sqlite_error::is_a_directory:
        return "the store's path names a directory; name a file";
      case sqlite_error::no_such_directory:
        return "the directory of the store's file does not exist; make it first";
      case sqlite_error::too_many_peers:
        return "a store has room for 8,388,607 peers; use several messengers";
      case sqlite_error::older_version:
        return "the store was written before the first release of ILM, in a form that is no longer "
               "read; deliver its messages with the program that wrote it, then begin a new store";
      case sqlite_error::file_moved:
        return "the file is no longer the one that the store opened under this name; put it back, "
               "or "
               "end this messenger and start a new one";
      case sqlite_error::taken_over:
        return "another messenger has taken the store since this one opened it; end one of the two";
      case sqlite_error::several_names:
        return "the file has a second name, under which another messenger would miss its log; "
               "remove the other hard link, or mount the directory, not the file";
    }
    return advice(value) + " (SQLite: " + sqlite3_errstr(value) + ", code " +
           std::to_string(value) + ")";
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    if (value == static_cast<int>(sqlite_error::taken_over)) {
      return std::errc::device_or_resource_busy;
    }
    // Our own are not SQLite's, whatever their last byte is.
    if (value >= first_of_ours) return {value, *this};
    switch (value & 0xff) {
      case SQLITE_FULL:
        return std::errc::no_space_on_device;
      case SQLITE_READONLY:
        return std::errc::read_only_file_system;
      case SQLITE_PERM:
        return std::errc::permission_denied;
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return std::errc::device_or_resource_busy;
      case SQLITE_IOERR:
        return std::errc::io_error;
      case SQLITE_NOMEM:
        return std::errc::not_enough_memory;
      default:
        return {value, *this};
    }
  }

 private:
  static constexpr int first_of_ours = static_cast<int>(sqlite_error::newer_version);

  static std::string advice(int value) {
    switch (value & 0xff) {
      case SQLITE_FULL:
        return "the disk is full; free some space, and sends work again";
      case SQLITE_READONLY:
        return "the store is read-only; make its file and its directory writable";
      case SQLITE_PERM:
        return "this user may not read and write here; change the owner or the mode";
      case SQLITE_CANTOPEN:
        return "this cannot be opened or made; check the path, its owner and its mode";
      case SQLITE_NOTADB:
        return "the file is no SQLite database; name another file";
      case SQLITE_CORRUPT:
        return "the database is damaged; save what is whole (examples/repair), and start with a "
               "new "
               "file";
      case SQLITE_IOERR:
        return "the disk failed to read or write; check it, and the store goes on when it does";
      case SQLITE_BUSY:
      case SQLITE_LOCKED:
        return "another connection holds the database for longer than "
               "sqlite_options::busy_timeout; let it end its transaction";
      case SQLITE_NOMEM:
        return "there is not enough memory for the store; free some";
      case SQLITE_TOOBIG:
        return "a message exceeds what SQLite takes; split it";
      default:
        return "the store failed; see SQLite's documentation of this code";
    }
  }
};

}  // namespace detail

/// The category of SQLite's extended result codes and of sqlite_error.
inline const std::error_category& sqlite_category() noexcept {
  static const detail::sqlite_category_impl category;
  return category;
}

inline std::error_code make_error_code(sqlite_error e) noexcept {
  return {static_cast<int>(e), sqlite_category()};
}

}  // namespace ilm::inline v0

template <>
struct std::is_error_code_enum<ilm::sqlite_error> : std::true_type {};
