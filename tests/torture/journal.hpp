#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <fcntl.h>
#include <filesystem>
#include <span>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <type_traits>
#include <unistd.h>
#include <vector>

// The journals that a peer's application writes and the checker reads. A journal is a file of
// records of one size. A completed write outlives kill -9 (the page cache is the kernel's), so
// nothing here is ever synced: journals do not survive power cuts.

namespace torture {

/// The outcome of sends. An intent is written before the calls of send_to that it announces.
struct sent_record {
  enum class type : std::uint8_t { intent = 1, done, failed };

  type kind{};
  std::uint8_t to = 0;  ///< the number of the peer
  std::uint16_t unused = 0;
  std::uint32_t process_number = 0;  ///< which process of this peer wrote it
  std::uint64_t id = 0;              ///< the first of the batch, if an intent
  std::uint64_t value = 0;  ///< intent: how many; done: the sequence; failed: the error's value
};

/// A message that the application consumed.
struct received_record {
  std::uint8_t from = 0;
  std::uint8_t intact = 0;       ///< whether the contents are as sent, byte for byte
  std::uint16_t generation = 0;  ///< how often this peer's store was put back
  std::uint32_t process_number = 0;
  std::uint64_t index = 0;
  std::uint64_t sequence = 0;
  std::uint64_t id = 0;
};

[[noreturn]] inline void throw_errno(const std::string& operation) {
  throw std::system_error(errno, std::generic_category(), operation);
}

/// The writing side. A process killed within a record left a part of it, which is cut off.
template <class Record>
class journal {
  static_assert(std::is_trivially_copyable_v<Record> &&
                std::has_unique_object_representations_v<Record>);

 public:
  explicit journal(const std::filesystem::path& file)
      : file_(file),
        descriptor_(::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) throw_errno(file_);
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) throw_errno(file_);
    off_t whole = status.st_size - status.st_size % static_cast<off_t>(sizeof(Record));
    if (whole != status.st_size && ::ftruncate(descriptor_, whole) != 0) throw_errno(file_);
  }
  journal(const journal&) = delete;
  journal& operator=(const journal&) = delete;
  ~journal() { ::close(descriptor_); }

  void append(const Record& r) {
    if (::write(descriptor_, &r, sizeof r) != static_cast<ssize_t>(sizeof r)) throw_errno(file_);
  }

 private:
  std::string file_;
  int descriptor_;
};

/// The reading side: the whole records appended since the last `read`.
template <class Record>
class journal_reader {
 public:
  explicit journal_reader(std::filesystem::path file) : file_(std::move(file)) {}

  std::vector<Record> read() {
    std::vector<Record> found;
    int descriptor = ::open(file_.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
      if (errno == ENOENT) return found;  // the peer has not come that far
      throw_errno(file_);
    }
    struct stat status {};
    bool readable = ::fstat(descriptor, &status) == 0;
    std::size_t count = (static_cast<std::size_t>(status.st_size) - position_) / sizeof(Record);
    found.resize(count);
    auto bytes = std::as_writable_bytes(std::span(found));
    while (readable && !bytes.empty()) {
      ssize_t got = ::pread(descriptor, bytes.data(), bytes.size(), static_cast<off_t>(position_));
      readable = got > 0;
      if (!readable) break;
      position_ += static_cast<std::size_t>(got);
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    }
    int failed = errno;
    ::close(descriptor);
    errno = failed;
    if (!readable) throw_errno(file_);
    return found;
  }

 private:
  std::string file_;
  std::size_t position_ = 0;
};

}  // namespace torture
