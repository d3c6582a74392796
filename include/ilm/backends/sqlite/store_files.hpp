#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/files.hpp>
#include <ilm/backends/sqlite/last_commit.hpp>
#include <ilm/backends/sqlite/log_check.hpp>
#include <ilm/backends/sqlite/rows.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
  /// Of a file's name.
  static constexpr std::array<const char*, 3> parts{"", "-wal", "-shm"};

 public:
  /// Makes the file where there is none, with mode 0600, which SQLite gives its own files, too.
  /// `prefix`: of the tables. Throws std::system_error with the name of the file that it is about.
  store_files(const std::string& file, std::string_view prefix, durability level)
      : main_(open_or_make(file, suffix_of_record(prefix))),
        name_(std::filesystem::canonical(file).string()) {
    refuse_strange_files();
    if (!main_.lock(F_WRLCK, lock_byte(prefix), 1)) throw_about(name_, error::store_in_use);
    std::optional<file_identity> identity = file_identity::of(main_.get());
    if (!identity) throw_about(name_, SQLITE_IOERR_FSTAT);
    newest_ = last_commit(name_ + suffix_of_record(prefix), *identity, level);
    newest_.own_as(main_.get());
    refuse_damage(!prefix.empty());
    shared_memory_locks::belong_to_descriptor();
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

  /// Whether the log had no valid header, for SQLite as if it was empty.
  bool log_is_void() const noexcept { return log_is_void_; }

  /// SQLite has its files open now. They stay while the store is open: no other connection, in
  /// whatever process, finds itself the last one and removes them, though SQLite's own locks of a
  /// database are gone as soon as this process closes any descriptor of it.
  void handle_opened() {
    for (std::size_t i = 0; i < parts.size(); ++i) {
      watched_[i] = status_of(i).identity();
    }
    if (watched_[0] != file_identity::of(main_.get())) throw_moved(0);
    index_ = shared_descriptor::open(name_ + "-shm", false);
    main_.lock(F_RDLCK, shared_first, shared_size);
  }

  /// SQLite is about to close its files, and may remove them.
  void handle_closing() noexcept {
    main_.lock(F_UNLCK, shared_first, shared_size);
    index_ = {};
  }

  /// Throws sqlite_error::file_moved unless each file is still under its name.
  void check_names() const { sizes_of_watched(); }

  /// The same within a transaction, in which no other connection changes the log. Throws
  /// error::store_corrupt if a file was cut.
  void check() const {
    std::array<std::uint64_t, parts.size()> sizes = sizes_of_watched();
    for (std::size_t i : {0U, 1U}) {
      if (sizes[i] >= (i == 0 ? 1 : size_of_log())) continue;
      throw std::system_error(error::store_corrupt, name_ + parts[i] + " was cut while in use");
    }
  }

  /// Throws error::store_corrupt if a store with this seed is not the file's own: then its log is
  /// that of another one. Only the file of a store of ILM's own says so (sqlite_schema).
  void require_seed(std::uint32_t low_bits) const {
    std::array<std::byte, 4> stored{};
    if (pread(main_.get(), stored.data(), 4, user_version_at) != 4)
      throw_about(name_, SQLITE_IOERR_READ);
    std::uint64_t found = from_big_endian(stored);
    // 0: a first start that has not come so far.
    if (found != 0 && found != low_bits) {
      throw std::system_error(error::store_corrupt, name_ + "-wal belongs to another file");
    }
  }

 private:
  /// Far behind what a database can have.
  static constexpr std::int64_t first_lock_byte = std::int64_t{1} << 62;
  /// In the header of a database.
  static constexpr std::int64_t user_version_at = 60;

  std::array<std::uint64_t, parts.size()> sizes_of_watched() const {
    std::array<std::uint64_t, parts.size()> sizes{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      file_status now = status_of(i);
      if (now.identity() != watched_[i]) throw_moved(i);
      sizes[i] = now.size();
    }
    return sizes;
  }

  file_status status_of(std::size_t part) const {
    std::optional<file_status> found = file_status::of(name_ + parts[part]);
    if (!found) throw_moved(part);
    return *found;
  }
  [[noreturn]] void throw_moved(std::size_t part) const {
    throw_about(name_ + parts[part], make_error_code(sqlite_error::file_moved));
  }

  /// How long the log has to be by its index (https://www.sqlite.org/walformat.html).
  std::uint64_t size_of_log() const {
    std::array<std::byte, 20> header{};
    if (pread(index_.get(), header.data(), header.size(), 0) != ssize_t{header.size()}) {
      throw_about(name_ + "-shm", SQLITE_IOERR_READ);
    }
    std::uint16_t page = 0;
    std::uint32_t frames = 0;
    std::memcpy(&page, header.data() + 14, sizeof page);
    std::memcpy(&frames, header.data() + 16, sizeof frames);
    std::uint64_t page_size = page == 1 ? 65536 : page;
    return frames == 0 ? 0 : 32 + frames * (24 + page_size);
  }

  /// SQLite would make a new database where only the log is left, and remove that.
  static shared_descriptor open_or_make(const std::string& file, const std::string& record) {
    std::error_code none;
    if (file_identity::of(file)) return shared_descriptor::open(file, false);
    if (std::filesystem::file_size(file + "-wal", none) != 0 && !none) {
      throw std::system_error(error::store_corrupt, file +
                                                        " is missing beside its -wal; to start "
                                                        "anew, remove its -wal and -last, too");
    }
    // The record is that of a file that is gone.
    std::filesystem::remove(file + record, none);
    return shared_descriptor::open(file, true);
  }
  static std::string suffix_of_record(std::string_view prefix) {
    return prefix.empty() ? "-last" : "-" + std::string(prefix) + "last";
  }

  /// SQLite waits for a pipe's other end, and follows no link beside the file. A file with a second
  /// name, or that is a mount of its own, has another log under each name.
  void refuse_strange_files() const {
    for (const char* part : {"", "-wal", "-shm", "-journal"}) {
      std::optional<file_status> found = file_status::of(name_ + part);
      if (found && !found->is_regular()) throw_about(name_ + part, SQLITE_CANTOPEN);
    }
    std::optional<file_status> file = file_status::of(name_);
    std::optional<file_status> directory =
        file_status::of(std::filesystem::path(name_).parent_path().string());
    if (!file || !directory) throw_moved(0);
    if (file->names() > 1 || file->mount() != directory->mount()) {
      throw_about(name_, make_error_code(sqlite_error::several_names));
    }
  }

  /// SQLite takes an empty file for a new database, and removes the log beside it.
  /// `shared`: an application writes to the database, too, perhaps with less durability.
  void refuse_damage(bool shared) {
    own_descriptor log(name_ + "-wal", O_RDONLY);
    std::uint64_t size = log ? log.size() : 0;
    bool empty = status_of(0).size() == 0;
    if (empty && (size != 0 || newest_.exists())) {
      throw std::system_error(error::store_corrupt,
                              name_ + " was emptied; to start anew, remove it, its -wal and -last");
    }
    if (size == 0 || newest_.may_have_lost_any(shared)) return;
    if (std::optional<std::uint64_t> at = log_check(log).find_damage()) {
      // The log begins anew once the file has all that was in it, and on a full disk only a part of
      // its new header may be written. So the store may be whole: an exact record knows.
      log_is_void_ = *at == 0 && !shared && newest_.knows_exactly();
      if (log_is_void_) return;
      throw std::system_error(
          error::store_corrupt,
          name_ + "-wal is damaged at byte " + std::to_string(*at) + ", before whole commits");
    }
  }

  shared_descriptor main_;
  std::string name_;
  last_commit newest_;
  bool log_is_void_ = false;
  shared_descriptor index_;
  std::array<file_identity, parts.size()> watched_;
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
