#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/files.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/log_check.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

#ifdef __linux__

/// The files of one store: takes them for one messenger, looks through them before SQLite does, and
/// watches that they stay.
///
/// The store is had by a lock on a byte of its file that belongs to the descriptor: whatever name
/// it is opened by, the file is the same, and no other descriptor's end ends it. A file system
/// without such locks is left to the holder's number in the store (sqlite_store).
class store_files {
 public:
  /// Makes the file where there is none, with mode 0600, which SQLite gives its own files, too.
  /// `prefix`: of the tables. Throws std::system_error with the name of the file that it is about.
  store_files(const std::string& file, std::string_view prefix, durability level)
      : main_(open_or_make(file)), name_(std::filesystem::canonical(file).string()) {
    refuse_strange_file();
    if (!main_.lock(F_WRLCK, lock_byte(prefix), 1)) throw_about(name_, error::store_in_use);
    std::optional<file_identity> identity = file_identity::of(main_.get());
    if (!identity) throw_about(name_, SQLITE_IOERR_FSTAT);
    std::string suffix = prefix.empty() ? "-last" : "-" + std::string(prefix) + "last";
    newest_ = last_commit(name_ + suffix, *identity, level);
    refuse_damage();
  }

  /// The byte of the file whose lock has the store.
  static std::int64_t lock_byte(std::string_view prefix) noexcept {
    return first_lock_byte + crc32c(std::as_bytes(std::span(prefix)));
  }
  /// The bytes of a database that SQLite locks for sharing it (os.h).
  static constexpr std::int64_t shared_first = 0x40000002;
  static constexpr std::int64_t shared_size = 510;

  /// By which SQLite is to open it.
  const std::string& name() const noexcept { return name_; }

  last_commit& newest() noexcept { return newest_; }
  const last_commit& newest() const noexcept { return newest_; }

  /// SQLite has its files open now. They stay while the store is open: no other connection, in
  /// whatever process, finds itself the last one and removes them, though SQLite's own locks are
  /// gone as soon as this process closes any descriptor of theirs.
  void handle_opened() {
    for (const char* part : {"", "-wal", "-shm"}) {
      std::optional<file_identity> found = file_identity::of(name_ + part);
      if (!found) throw_about(name_ + part, make_error_code(sqlite_error::file_moved));
      watched_.emplace_back(name_ + part, *found);
    }
    if (watched_[0].second != file_identity::of(main_.get())) {
      throw_about(name_, make_error_code(sqlite_error::file_moved));
    }
    index_ = shared_descriptor::open(name_ + "-shm", false);
    index_.lock(F_RDLCK, shared_memory_in_use, 1);
    main_.lock(F_RDLCK, shared_first, shared_size);
  }

  /// SQLite is about to close its files, and may remove them.
  void handle_closing() noexcept {
    main_.lock(F_UNLCK, shared_first, shared_size);
    index_ = {};
  }

  /// Throws sqlite_error::file_moved unless each file is still under its name.
  void check() const {
    for (const auto& [path, identity] : watched_) {
      if (file_identity::of(path) != identity) {
        throw_about(path, make_error_code(sqlite_error::file_moved));
      }
    }
  }

 private:
  /// Far behind what a database can have.
  static constexpr std::int64_t first_lock_byte = std::int64_t{1} << 62;
  /// The byte that SQLite locks of the shared memory while it is in use (os_unix.c).
  static constexpr std::int64_t shared_memory_in_use = 128;

  /// SQLite would make a new database where only the log is left, and remove that.
  static shared_descriptor open_or_make(const std::string& file) {
    std::error_code none;
    if (!file_identity::of(file) && std::filesystem::file_size(file + "-wal", none) != 0 && !none) {
      throw std::system_error(error::store_corrupt, file +
                                                        " is missing beside its -wal; to start "
                                                        "anew, remove its -wal and -last, too");
    }
    return shared_descriptor::open(file, true);
  }

  void refuse_strange_file() const {
    struct stat s {};
    if (fstat(main_.get(), &s) != 0) throw_about(name_, SQLITE_IOERR_FSTAT);
    if (!S_ISREG(s.st_mode)) throw_about(name_, SQLITE_CANTOPEN);
    if (s.st_nlink > 1) throw_about(name_, make_error_code(sqlite_error::several_names));
  }

  /// SQLite takes an empty file for a new database, and removes the log beside it.
  void refuse_damage() const {
    own_descriptor log(name_ + "-wal", O_RDONLY);
    std::uint64_t size = log ? log.size() : 0;
    struct stat s {};
    bool empty = fstat(main_.get(), &s) == 0 && s.st_size == 0;
    if (empty && (size != 0 || newest_.knows_store())) {
      throw std::system_error(
          error::store_corrupt,
          name_ + " was emptied; to start anew, remove it with its -wal and -last");
    }
    if (size == 0 || newest_.may_have_lost_any()) return;
    if (std::optional<std::uint64_t> at = log_check(log).find_damage()) {
      throw std::system_error(
          error::store_corrupt,
          name_ + "-wal is damaged at byte " + std::to_string(*at) + ", before whole commits");
    }
  }

  shared_descriptor main_;
  std::string name_;
  last_commit newest_;
  shared_descriptor index_;
  std::vector<std::pair<std::string, file_identity>> watched_;
};

#endif

/// The file of a store that an error of SQLite's is about, as far as its code and the files tell.
inline std::string failed_file(const std::string& main, int code) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  auto of_log = [&] { return fs::exists(main + "-wal", ignored) ? main + "-wal" : main; };
  switch (code) {
    case SQLITE_IOERR_SHMOPEN:
    case SQLITE_IOERR_SHMSIZE:
    case SQLITE_IOERR_SHMLOCK:
    case SQLITE_IOERR_SHMMAP:
      return main + "-shm";
    case SQLITE_IOERR_WRITE:
    case SQLITE_IOERR_FSYNC:
    case SQLITE_IOERR_TRUNCATE:
      return of_log();
    default:
      break;
  }
  if ((code & 0xff) == SQLITE_FULL) return of_log();
#ifdef __linux__
  bool access = (code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY ||
                (code & 0xff) == SQLITE_PERM;
  if (!access) return main;
  auto usable = [](const std::string& path) {
    return faccessat(AT_FDCWD, path.c_str(), R_OK | W_OK, AT_EACCESS) == 0;
  };
  for (const char* part : {"", "-wal", "-shm", "-journal"}) {
    std::string path = main + part;
    if (fs::exists(path, ignored) && !(fs::is_regular_file(path, ignored) && usable(path))) {
      return path;
    }
  }
  std::string directory = fs::absolute(main, ignored).parent_path().string();
  if (!usable(directory)) return directory;
#endif
  return main;
}

}  // namespace ilm::inline v0::detail
