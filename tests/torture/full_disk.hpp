#pragma once

#include <sqlite3.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

namespace torture {

/// Makes the disk full for SQLite's files in this process while a marker file exists: writes fail
/// in the system call as they do on a real one, some after a part. The journals are elsewhere.
class full_disk {
 public:
  /// Before SQLite is used.
  static void install(const std::filesystem::path& marker, std::uint64_t seed) {
    marker_ = marker.string();
    random_.seed(seed);
    sqlite3_vfs* vfs = sqlite3_vfs_find(nullptr);
    replace(*vfs, "write", real_write_, &write);
    replace(*vfs, "pwrite", real_pwrite_, &pwrite);
    replace(*vfs, "pwrite64", real_pwrite_, &pwrite);
  }

  /// How many writes have failed.
  static std::uint64_t refused() noexcept { return refused_; }

 private:
  using write_call = ssize_t (*)(int, const void*, std::size_t);
  using pwrite_call = ssize_t (*)(int, const void*, std::size_t, off_t);
  /// A full disk refuses new blocks, and perhaps has to copy a block to write into it.
  enum class state { free, refuses_growth, refuses_all };

  template <class Call>
  static void replace(sqlite3_vfs& vfs, const char* name, Call& real, Call substitute) {
    sqlite3_syscall_ptr before = vfs.xGetSystemCall(&vfs, name);
    if (before == nullptr) return;  // this build of SQLite does without it
    real = reinterpret_cast<Call>(before);
    vfs.xSetSystemCall(&vfs, name, reinterpret_cast<sqlite3_syscall_ptr>(substitute));
  }

  static bool has_room(int file, std::size_t size, off_t offset) {
    if (::access(marker_.c_str(), F_OK) != 0) {
      state_ = state::free;
      return true;
    }
    if (state_ == state::free) {
      state_ = random_() % 2 == 0 ? state::refuses_growth : state::refuses_all;
    }
    struct stat status {};
    return state_ == state::refuses_growth && ::fstat(file, &status) == 0 &&
           offset + static_cast<off_t>(size) <= status.st_size;
  }

  /// How many bytes are written before the disk is full.
  static std::size_t part_of(std::size_t size) {
    return random_() % 2 == 0 ? 0 : static_cast<std::size_t>(random_() % size);
  }

  static ssize_t refuse() {
    ++refused_;
    errno = ENOSPC;
    return -1;
  }

  static ssize_t write(int file, const void* data, std::size_t size) {
    if (has_room(file, size, ::lseek(file, 0, SEEK_CUR))) return real_write_(file, data, size);
    std::size_t part = part_of(size);
    return part == 0 ? refuse() : real_write_(file, data, part);
  }
  static ssize_t pwrite(int file, const void* data, std::size_t size, off_t offset) {
    if (has_room(file, size, offset)) return real_pwrite_(file, data, size, offset);
    std::size_t part = part_of(size);
    return part == 0 ? refuse() : real_pwrite_(file, data, part, offset);
  }

  static inline std::string marker_;
  static inline std::mt19937_64 random_;  ///< used by the store's thread alone
  static inline state state_ = state::free;
  static inline std::atomic<std::uint64_t> refused_ = 0;
  static inline write_call real_write_ = nullptr;
  static inline pwrite_call real_pwrite_ = nullptr;
};

}  // namespace torture
