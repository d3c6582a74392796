#pragma once

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace fs = std::filesystem;

class file {
 public:
  file(const fs::path& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) fail("cannot open ");
  }
  ~file() { ::close(descriptor_); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;

  /// Reads `size` bytes at `offset`; fewer at the end of the file.
  std::string read(std::uint64_t offset, std::size_t size) const {
    std::string data(size, '\0');
    std::size_t done = 0;
    while (done < size) {
      ssize_t got =
          ::pread(descriptor_, data.data() + done, size - done, static_cast<off_t>(offset + done));
      if (got < 0 && errno != EINTR) fail("cannot read ");
      if (got == 0) break;
      done += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
    }
    data.resize(done);
    return data;
  }

  /// On the disk when it returns: a message that was consumed does not come again.
  void write(std::uint64_t offset, std::string_view data) const {
    while (!data.empty()) {
      ssize_t put = ::pwrite(descriptor_, data.data(), data.size(), static_cast<off_t>(offset));
      if (put < 0 && errno != EINTR) fail("cannot write ");
      offset += static_cast<std::uint64_t>(std::max<ssize_t>(put, 0));
      data.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(put, 0)));
    }
    if (::fsync(descriptor_) != 0) fail("cannot sync ");
  }

  struct stat status() const {
    struct stat s {};
    if (::fstat(descriptor_, &s) != 0) fail("cannot look at ");
    return s;
  }
  std::uint64_t size() const { return static_cast<std::uint64_t>(status().st_size); }

  /// Whether somebody has written to it since.
  bool is_as(const struct stat& before) const {
    struct stat s = status();
    return s.st_size == before.st_size && modified(s) == modified(before);
  }

  /// FNV-1a, 64 bits: against accidents, not against forgers.
  std::uint64_t checksum() const {
    std::uint64_t sum = fnv_start;
    for (std::uint64_t offset = 0;;) {
      std::string data = read(offset, 1 << 20);
      if (data.empty()) return sum;
      sum = fnv(data, sum);
      offset += data.size();
    }
  }

  static std::uint64_t fnv(std::string_view data, std::uint64_t sum = fnv_start) {
    for (char c : data) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    return sum;
  }

 private:
  static std::pair<std::int64_t, std::int64_t> modified(const struct stat& s) {
#ifdef __APPLE__
    return {s.st_mtimespec.tv_sec, s.st_mtimespec.tv_nsec};
#else
    return {s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
#endif
  }

  static constexpr std::uint64_t fnv_start = 0xcbf29ce484222325U;

  [[noreturn]] void fail(const char* failure) const {
    throw std::system_error(errno, std::generic_category(), failure + path_.string());
  }

  fs::path path_;
  int descriptor_;
};
