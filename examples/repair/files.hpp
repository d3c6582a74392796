#pragma once

// The files of a store: read, copied, had by this program alone.

#include "../support/program.hpp"

#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/files.hpp>
#include <ilm/backends/sqlite/store_files.hpp>
#include <ilm/error.hpp>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace fs = std::filesystem;
namespace store = ilm::detail;

[[noreturn]] inline void fail(const fs::path& file) {
  throw std::system_error(errno, std::generic_category(), file.string());
}

/// A file's contents, for as little at a time as is asked for.
class file_reader {
 public:
  explicit file_reader(const fs::path& file) : in_(file, std::ios::binary) {
    std::error_code none;
    std::uintmax_t size = fs::file_size(file, none);
    size_ = none ? 0 : size;
  }
  std::uint64_t size() const noexcept { return size_; }
  std::size_t read(std::uint64_t at, std::span<std::byte> to) const {
    in_.clear();
    in_.seekg(static_cast<std::streamoff>(at));
    in_.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
    return static_cast<std::size_t>(in_.gcount());
  }

 private:
  mutable std::ifstream in_;
  std::uint64_t size_ = 0;
};

inline bool equal_files(const fs::path& a, const fs::path& b) {
  file_reader one(a), other(b);
  if (one.size() != other.size()) return false;
  std::vector<std::byte> x(1 << 16), y(1 << 16);
  for (std::uint64_t at = 0; at < one.size(); at += x.size()) {
    std::size_t got = one.read(at, x);
    if (got == 0 || got != other.read(at, y) || std::memcmp(x.data(), y.data(), got) != 0) {
      return false;
    }
  }
  return true;
}

/// Also of a directory.
inline void sync(const fs::path& file) {
  int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) fail(file);
  int result = ::fsync(descriptor);
  ::close(descriptor);
  if (result != 0) fail(file);
}

/// Gives a complete file its name.
inline void publish(const fs::path& part, const fs::path& name) {
  fs::permissions(part, fs::perms::owner_read | fs::perms::owner_write);
  sync(part);
  fs::rename(part, name);
  sync(name.parent_path());
}

/// A copy under the same name. Never takes the place of another file.
inline void keep_copy(const fs::path& file, const fs::path& directory) {
  if (!fs::exists(file)) return;
  fs::path name = directory / file.filename(), part = name.string() + ".part";
  if (fs::exists(name)) {
    if (equal_files(file, name)) return;
    throw std::runtime_error(name.string() + " is another file; name another directory");
  }
  fs::copy_file(file, part, fs::copy_options::overwrite_existing);
  if (!equal_files(file, part)) throw std::runtime_error(part.string() + " is no true copy");
  publish(part, name);
}

/// Where copies are read. Goes with the object.
class work_directory {
 public:
  work_directory() {
    std::string pattern = (example::temporary_place() / "ilm_repair.XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) fail(pattern);
    path_ = pattern;
  }
  work_directory(const work_directory&) = delete;
  work_directory& operator=(const work_directory&) = delete;
  ~work_directory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }

  /// A new directory in it.
  fs::path make(const std::string& name) const {
    fs::create_directory(path_ / name);
    return path_ / name;
  }

 private:
  fs::path path_;
};

/// The files of a store under their names, none of which has to be there.
struct store_paths {
  store_paths(const std::string& file, const std::string& prefix) {
    // The file may be what is missing.
    std::error_code failed;
    bool missing = fs::status(file, failed).type() == fs::file_type::not_found;
    if (!missing) example::require_readable(file);
    main = fs::weakly_canonical(fs::absolute(file));
    log = main.string() + "-wal";
    index = main.string() + "-shm";
    last = main.string() + "-" + prefix + "last";
  }
  fs::path main, log, index, last;
};

inline std::uintmax_t size_of(const fs::path& file) {
  std::error_code none;
  std::uintmax_t size = fs::file_size(file, none);
  return none ? 0 : size;
}

/// Has the store for this program alone: no messenger, and no connection of anybody's.
class store_lock {
 public:
#ifdef __linux__
  store_lock(const store_paths& paths, const std::string& prefix) {
    if (!fs::exists(paths.main)) return;
    if (fs::hard_link_count(paths.main) > 1) {
      throw std::system_error(ilm::sqlite_error::several_names);
    }
    main_ = store::shared_descriptor::open(paths.main.string(), false);
    if (!main_.lock(F_WRLCK, store::store_files::lock_byte(prefix), 1)) {
      throw std::system_error(ilm::error::store_in_use);
    }
    if (!main_.lock(F_WRLCK, store::store_files::shared_first, store::store_files::shared_size)) {
      throw std::runtime_error("another program has the database open; end that first");
    }
  }
  /// Lets connections in, but no messenger.
  void share() {
    main_.lock(F_UNLCK, store::store_files::shared_first, store::store_files::shared_size);
  }

 private:
  store::shared_descriptor main_;
#else
  store_lock(const store_paths& paths, const std::string& prefix)
      : lock_(paths.main.string() + "-" + prefix + "lock", "") {
    lock_.execute("PRAGMA journal_mode=OFF");
    try {
      lock_.execute("BEGIN EXCLUSIVE");
    } catch (const std::system_error&) {
      throw std::system_error(ilm::error::store_in_use);
    }
  }
  void share() {}

 private:
  store::sqlite_connection lock_;
#endif
};
