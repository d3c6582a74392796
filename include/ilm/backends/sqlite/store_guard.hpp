#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/rows.hpp>
#include <ilm/backends/sqlite/schema.hpp>
#include <ilm/backends/sqlite/store_files.hpp>
#include <ilm/error.hpp>

#include <sqlite3.h>

#include <cstdint>
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

  /// Whether there was a store here before, as far as is known.
  bool knows_store() const noexcept {
#ifdef __linux__
    return files_ && files_->newest().knows_store();
#else
    return false;
#endif
  }

  /// Throws error::store_corrupt if a store with this mark is known not to be the newest one.
  void require_newest([[maybe_unused]] const store_mark& m) const {
#ifdef __linux__
    if (!files_) return;
    const last_commit& newest = files_->newest();
    if (files_->log_is_void() ? newest.is_exactly(m) : newest.is_in(m)) return;
    throw std::system_error(error::store_corrupt,
                            name_ +
                                " lacks its newest commits: its -wal was damaged or removed, or "
                                "an older copy was put here (if so, remove its -last)");
#endif
  }

  /// Whether the log had no valid header, and the store, by its newest commit, may do without it.
  bool log_is_void() const noexcept {
#ifdef __linux__
    return files_ && files_->log_is_void();
#else
    return false;
#endif
  }

  /// Throws error::store_corrupt if a log of a store with another seed is beside the file.
  void require_own_log([[maybe_unused]] std::uint32_t low_bits_of_seed) const {
#ifdef __linux__
    if (files_) files_->require_seed(low_bits_of_seed);
#endif
  }

  /// SQLite has its files open, and the store is as `m` says.
  void handle_opened(const sqlite_connection& database, [[maybe_unused]] const store_mark& m) {
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

  /// A commit failed, and may turn out to be stored; or no more.
  void set_doubt([[maybe_unused]] bool in_doubt) noexcept {
#ifdef __linux__
    if (files_) files_->newest().set_doubt(in_doubt);
#endif
  }

  /// Throws sqlite_error::file_moved unless the store's files are still under their names.
  void check_names() const {
#ifdef __linux__
    if (files_) return files_->check_names();
#endif
    int moved = 0;
    int result = sqlite3_file_control(database_, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    if (result == SQLITE_OK && moved != 0) throw std::system_error(sqlite_error::file_moved, name_);
  }

  /// The same within a transaction. Throws error::store_corrupt if a file was cut.
  void check() const {
#ifdef __linux__
    if (files_) return files_->check();
#endif
    check_names();
  }

  /// A commit begins after which the store is as `m` says. Throws std::system_error.
  void begin_commit([[maybe_unused]] const store_mark& m) {
#ifdef __linux__
    if (files_) files_->newest().begin(m);
#endif
  }
  void complete_commit([[maybe_unused]] const store_mark& m) noexcept {
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
