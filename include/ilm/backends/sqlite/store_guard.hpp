#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/schema.hpp>
#include <ilm/backends/sqlite/store_files.hpp>
#include <ilm/error.hpp>

#include <sqlite3.h>

#include <memory>
#include <optional>
#include <string>
#include <system_error>

namespace ilm::inline v0::detail {

/// Keeps a store for one messenger, and knows whether it is still the store that it was: by its
/// files (store_files) where they can be looked at, and otherwise by SQLite's own means.
class store_guard {
 public:
  store_guard(const std::string& file, const sqlite_options& o, [[maybe_unused]] durability level)
      : name_(file) {
#ifdef __linux__
    if (!o.vfs.empty()) return;
    files_.emplace(file, o.table_prefix, level);
    name_ = files_->name();
#endif
  }

  /// By which SQLite is to open the file.
  const std::string& name() const noexcept { return name_; }

  /// Takes the store, unless that is done. Throws error::store_in_use.
  void take(const sqlite_schema& schema, const sqlite_options& o) {
#ifdef __linux__
    if (files_) return;
#endif
    lock_ = schema.lock(o.vfs);
  }

  /// Throws error::store_corrupt if the newest commit is known not to be in the store.
  /// `checksum_of(id)`: of a row, as row_mark has it.
  template <class ChecksumOf>
  void require_last_commit([[maybe_unused]] const ChecksumOf& checksum_of) const {
#ifdef __linux__
    if (!files_ || files_->newest().is_in(checksum_of)) return;
    throw std::system_error(error::store_corrupt,
                            name_ +
                                " lacks its newest commits: its -wal was damaged or removed, or "
                                "an older copy was put here (if so, remove its -last)");
#endif
  }

  /// SQLite has its files open, and the store is as `m` says.
  void handle_opened(const sqlite_connection& database, [[maybe_unused]] const row_mark& m) {
    database_ = database.get();
#ifdef __linux__
    if (!files_) return;
    files_->handle_opened();
    files_->newest().start_from(m);
#endif
  }
  void handle_closing() noexcept {
#ifdef __linux__
    if (files_) files_->handle_closing();
#endif
  }

  /// Throws sqlite_error::file_moved unless the store's files are still under their names.
  void check() const {
#ifdef __linux__
    if (files_) return files_->check();
#endif
    int moved = 0;
    int result = sqlite3_file_control(database_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (result == SQLITE_OK && moved != 0) throw std::system_error(sqlite_error::file_moved, name_);
  }

  /// A commit begins after which the store is as `m` says. Throws std::system_error.
  void begin_commit([[maybe_unused]] const row_mark& m) {
#ifdef __linux__
    if (files_) files_->newest().begin(m);
#endif
  }
  void complete_commit([[maybe_unused]] const row_mark& m) noexcept {
#ifdef __linux__
    if (files_) files_->newest().complete(m);
#endif
  }

 private:
  std::string name_;
#ifdef __linux__
  std::optional<store_files> files_;
#endif
  std::unique_ptr<sqlite_connection> lock_;
  sqlite3* database_ = nullptr;
};

}  // namespace ilm::inline v0::detail
