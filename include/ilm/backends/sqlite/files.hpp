#pragma once

#include <ilm/backends/sqlite/error.hpp>
#include <ilm/error.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#ifdef __linux__
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <fcntl.h>
#include <mutex>
#include <sys/stat.h>
#include <unistd.h>
#endif

// The files of a store, beneath SQLite: whose they are, and that they are still the ones that were
// opened. On Linux, for files of the file system; elsewhere, or where a VFS is named, SQLite's own
// means have to do.

namespace ilm::inline v0::detail {

/// An error whose text names the file that it is about.
[[noreturn]] inline void throw_about(const std::string& file, std::error_code why) {
  throw std::system_error(why, file);
}
[[noreturn]] inline void throw_about(const std::string& file, int sqlite_code) {
  throw_about(file, std::error_code(sqlite_code, sqlite_category()));
}

#ifdef __linux__

static_assert(sizeof(off_t) == sizeof(std::int64_t),
              "a store's files have offsets of 64 bits: compile with -D_FILE_OFFSET_BITS=64, "
              "as ilm::sqlite of CMake does");

/// SQLite's code for an error of the system.
inline int sqlite_code_of(int system_error) noexcept {
  switch (system_error) {
    case ENOSPC:
    case EDQUOT:
      return SQLITE_FULL;
    case EROFS:
      return SQLITE_READONLY;
    case EACCES:
    case EPERM:
      return SQLITE_PERM;
    case EIO:
      return SQLITE_IOERR;
    case ENOMEM:
      return SQLITE_NOMEM;
    default:
      return SQLITE_CANTOPEN;
  }
}

/// Which file a name stands for. Numbers are used again, so the time of birth is part of it, in
/// nanoseconds; 0 where the file system does not know it.
struct file_identity {
  std::uint64_t device = 0;
  std::uint64_t number = 0;
  std::uint64_t born = 0;

  friend bool operator==(const file_identity&, const file_identity&) = default;

  /// None if there is no such file.
  static std::optional<file_identity> of(const std::string& path) noexcept {
    return of(AT_FDCWD, path.c_str(), 0);
  }
  static std::optional<file_identity> of(int descriptor) noexcept {
    return of(descriptor, "", AT_EMPTY_PATH);
  }

 private:
  friend class file_status;
  static std::optional<file_identity> of(int directory, const char* path, int flags) noexcept {
    struct statx s {};
    if (statx(directory, path, flags, STATX_INO | STATX_BTIME, &s) != 0) return std::nullopt;
    return of(s);
  }
  static file_identity of(const struct statx& s) noexcept {
    file_identity found;
    found.device = std::uint64_t{s.stx_dev_major} << 32 | s.stx_dev_minor;
    found.number = s.stx_ino;
    if ((s.stx_mask & STATX_BTIME) != 0) {
      found.born =
          static_cast<std::uint64_t>(s.stx_btime.tv_sec) * 1'000'000'000 + s.stx_btime.tv_nsec;
    }
    return found;
  }
};

/// More of a file under a name.
class file_status {
 public:
  /// None if there is no such file. Does not follow a link.
  static std::optional<file_status> of(const std::string& path) noexcept {
    file_status found;
    constexpr unsigned wanted = STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID;
    if (statx(AT_FDCWD, path.c_str(), AT_SYMLINK_NOFOLLOW, wanted, &found.s_) != 0) {
      return std::nullopt;
    }
    return found;
  }

  file_identity identity() const noexcept { return file_identity::of(s_); }
  bool is_regular() const noexcept { return S_ISREG(s_.stx_mode); }
  std::uint64_t size() const noexcept { return s_.stx_size; }
  std::uint64_t names() const noexcept { return s_.stx_nlink; }
  /// Which mount it is in; 0 where the kernel does not tell.
  std::uint64_t mount() const noexcept {
    return (s_.stx_mask & STATX_MNT_ID) != 0 ? s_.stx_mnt_id : 0;
  }

 private:
  struct statx s_ {};
};

/// A descriptor of a file that SQLite may have open in this process, too. When a process closes any
/// descriptor of a file, it loses the locks that SQLite holds on it (POSIX): so one is closed only
/// if it is the last of its file, and kept for the next store on that file otherwise.
class shared_descriptor {
 public:
  shared_descriptor() = default;

  /// Opens `path`, or makes it, for its owner alone. Throws std::system_error.
  static shared_descriptor open(const std::string& path, bool make) {
    shared_descriptor d;
    if (std::optional<file_identity> known = file_identity::of(path)) d.value_ = take(*known);
    if (d.value_ < 0) {
      d.value_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | (make ? O_CREAT : 0), 0600);
    }
    if (d.value_ < 0) throw_about(path, sqlite_code_of(errno));
    return d;
  }

  shared_descriptor(shared_descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  shared_descriptor& operator=(shared_descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~shared_descriptor() {
    if (value_ < 0) return;
    lock(F_UNLCK, 0, 0);
    give_back(value_);
  }

  int get() const noexcept { return value_; }

  /// A lock that belongs to this descriptor, not to the process: false if another has one there.
  /// A file system without locks gives every one that is asked for.
  bool lock(short type, std::int64_t at, std::int64_t bytes) const noexcept {
    struct flock l {};
    l.l_type = type;
    l.l_whence = SEEK_SET;
    l.l_start = at;
    l.l_len = bytes;
    return fcntl(value_, F_OFD_SETLK, &l) == 0 || (errno != EAGAIN && errno != EACCES);
  }

 private:
  struct pool {
    std::mutex mutex;
    std::vector<int> kept;
  };
  static pool& all() {
    static pool made;
    return made;
  }

  static int take(const file_identity& wanted) {
    std::lock_guard lock(all().mutex);
    std::vector<int>& kept = all().kept;
    for (auto at = kept.begin(); at != kept.end(); ++at) {
      if (file_identity::of(*at) != wanted) continue;
      int found = *at;
      kept.erase(at);
      return found;
    }
    return -1;
  }

  static void give_back(int descriptor) noexcept {
    std::lock_guard lock(all().mutex);
    std::vector<int>& kept = all().kept;
    try {
      kept.push_back(descriptor);
    } catch (...) {
      return;  // it stays open, which harms nobody
    }
    std::erase_if(kept, [](int d) { return !in_use_elsewhere(d) && ::close(d) == 0; });
  }

  /// Whether this process has the file open by a descriptor that is not kept here.
  static bool in_use_elsewhere(int descriptor) noexcept {
    std::optional<file_identity> mine = file_identity::of(descriptor);
    std::error_code failed;
    std::filesystem::directory_iterator open("/proc/self/fd", failed), end;
    for (; !failed && open != end; open.increment(failed)) {
      int other = std::atoi(open->path().filename().c_str());
      const std::vector<int>& kept = all().kept;
      if (std::find(kept.begin(), kept.end(), other) != kept.end()) continue;
      if (file_identity::of(other) == mine) return true;
    }
    return static_cast<bool>(failed);
  }

  int value_ = -1;
};

/// Lets SQLite's locks of the shared memory of write-ahead logs belong to its descriptor, in this
/// process and from now on: those of a process (POSIX) go when any descriptor of the file is closed
/// in it, by a backup for instance, and another process then writes into a transaction. SQLite has
/// one descriptor of such a file in a process, for all of its connections.
class shared_memory_locks {
 public:
  static void belong_to_descriptor() { static_cast<void>(installed()); }

 private:
  using call = int (*)(int, int, ...);
  /// SQLite's locks of the shared memory (os_unix.c).
  static constexpr std::int64_t first = 120;
  static constexpr std::int64_t last = 128;

  static bool installed() {
    static const bool done = install();
    return done;
  }
  /// SQLite's own. Other threads have connections, and may call ours as soon as it is installed.
  static std::atomic<call>& system_call() {
    static constinit std::atomic<call> found = &::fcntl;
    return found;
  }

  static bool install() {
    sqlite3_vfs* vfs = sqlite3_vfs_find("unix");
    if (vfs == nullptr || vfs->iVersion < 3) return false;
    auto found = reinterpret_cast<call>(vfs->xGetSystemCall(vfs, "fcntl"));
    if (found == nullptr) return false;
    system_call() = found;
    auto ours = reinterpret_cast<sqlite3_syscall_ptr>(&lock_by_descriptor);
    return vfs->xSetSystemCall(vfs, "fcntl", ours) == SQLITE_OK;
  }

  /// Instead of fcntl.
  static int lock_by_descriptor(int descriptor, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void* argument = va_arg(rest, void*);
    va_end(rest);
    auto* lock = static_cast<struct flock*>(argument);
    bool ours = (command == F_SETLK || command == F_GETLK) && lock->l_whence == SEEK_SET &&
                lock->l_start >= first && lock->l_start + lock->l_len <= last + 1;
    call original = system_call();
    if (!ours) return original(descriptor, command, argument);
    struct flock by_descriptor = *lock;
    by_descriptor.l_pid = 0;
    int result =
        original(descriptor, command == F_SETLK ? F_OFD_SETLK : F_OFD_GETLK, &by_descriptor);
    bool unknown = result != 0 && errno == EINVAL;
    // A connection that is older than this may have one of the process.
    bool also = command == F_SETLK && lock->l_type == F_UNLCK;
    if (unknown || also) return original(descriptor, command, argument);
    if (result == 0) *lock = by_descriptor;
    return result;
  }
};

/// A descriptor of a file that is nobody's but ours.
class own_descriptor {
 public:
  own_descriptor() = default;
  own_descriptor(const std::string& path, int flags)
      : value_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600)) {}
  own_descriptor(own_descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
  own_descriptor& operator=(own_descriptor&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~own_descriptor() {
    if (value_ >= 0) ::close(value_);
  }

  explicit operator bool() const noexcept { return value_ >= 0; }
  int get() const noexcept { return value_; }

  std::uint64_t size() const noexcept {
    struct stat s {};
    return fstat(value_, &s) == 0 ? static_cast<std::uint64_t>(s.st_size) : 0;
  }
  /// How many bytes were read.
  std::size_t read(std::uint64_t at, std::span<std::byte> to) const noexcept {
    std::size_t done = 0;
    while (done < to.size()) {
      ssize_t got =
          pread(value_, to.data() + done, to.size() - done, static_cast<off_t>(at + done));
      if (got <= 0) break;
      done += static_cast<std::size_t>(got);
    }
    return done;
  }
  bool write(std::uint64_t at, std::span<const std::byte> from) const noexcept {
    return pwrite(value_, from.data(), from.size(), static_cast<off_t>(at)) ==
           static_cast<ssize_t>(from.size());
  }

 private:
  int value_ = -1;
};

#endif

}  // namespace ilm::inline v0::detail
