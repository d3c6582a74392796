#pragma once

#include <ilm/backends/sqlite/rows.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <vector>

namespace ilm::inline v0::detail {

/// In a write-ahead log, where numbers are big-endian.
inline std::uint32_t log_number(std::span<const std::byte> from, std::size_t at) noexcept {
  return static_cast<std::uint32_t>(from_big_endian(from.subspan(at, 4)));
}

/// The running checksum of a write-ahead log.
struct log_checksum {
  static constexpr std::size_t frame_header_size = 24;

  std::uint32_t first = 0;
  std::uint32_t second = 0;

  friend bool operator==(const log_checksum&, const log_checksum&) = default;

  static log_checksum stored_at(std::span<const std::byte> from, std::size_t at) noexcept {
    log_checksum found;
    found.first = log_number(from, at);
    found.second = log_number(from, at + 4);
    return found;
  }

  /// Extended by `data`, whose words are of the byte order that the log's header says.
  log_checksum over(std::span<const std::byte> data, bool big_endian) const noexcept {
    auto word_at = [&](std::size_t at) {
      std::uint32_t v = log_number(data, at);
      return big_endian ? v : v >> 24 | (v >> 8 & 0xff00) | (v << 8 & 0xff0000) | v << 24;
    };
    log_checksum s = *this;
    for (std::size_t at = 0; at + 8 <= data.size(); at += 8) {
      s.first += word_at(at) + s.second;
      s.second += word_at(at + 4) + s.first;
    }
    return s;
  }
  log_checksum over_frame(std::span<const std::byte> frame, bool big_endian) const noexcept {
    return over(frame.first(8), big_endian).over(frame.subspan(frame_header_size), big_endian);
  }
};

/// Looks for damage in a write-ahead log that SQLite would take for the log's end. SQLite reads
/// frames up to the first one whose checksum fails, which is right after a crash: behind that may
/// be the rest of transactions that were never finished, each of which began there. So where two
/// transactions were finished one after the other at or behind that frame, it was damaged; and so
/// was the log's header, if it is not valid and anything is behind it. Damage to the last
/// transaction alone cannot be told from a crash.
///
/// The format is in SQLite's documentation (https://www.sqlite.org/fileformat2.html#walformat).
/// `Log` has `size()` and `read(at, span)`, which returns how many bytes were read.
template <class Log>
class log_check {
 public:
  explicit log_check(const Log& log) : log_(log), size_(log.size()) {}

  /// Where the damage begins, in bytes; none if there is none.
  std::optional<std::uint64_t> find_damage() {
    if (size_ <= header_size) return std::nullopt;
    if (!read_header())
      return has_contents(header_size) ? std::optional<std::uint64_t>(0) : std::nullopt;
    std::uint64_t end = end_of_whole_frames(header_size);
    while (has_commits_in_a_row(end)) {
      std::uint64_t further = end_of_whole_frames(end);
      if (further == end) return header_is_the_same() ? std::optional(end) : find_damage_anew();
      end = further;  // another connection was at work while this read
    }
    return std::nullopt;
  }

 private:
  static constexpr std::size_t header_size = 32;
  static constexpr std::size_t frame_header_size = log_checksum::frame_header_size;
  static constexpr std::size_t salt_size = 8;
  static constexpr unsigned maximum_attempts = 10;
  using header = std::array<std::byte, header_size>;
  using salts = std::array<std::byte, salt_size>;

  bool header_is_the_same() const {
    header now{};
    return read_exactly(0, now) && now == header_;
  }

  /// Another connection has begun the log anew meanwhile.
  std::optional<std::uint64_t> find_damage_anew() {
    if (++attempts_ == maximum_attempts) return std::nullopt;
    size_ = log_.size();
    return find_damage();
  }

  bool read_exactly(std::uint64_t at, std::span<std::byte> to) const {
    // What comes while this reads is of others.
    return at <= size_ && to.size() <= size_ - at && log_.read(at, to) == to.size();
  }

  bool read_header() {
    if (!read_exactly(0, header_)) return false;
    std::uint32_t magic = log_number(header_, 0);
    big_endian_words_ = (magic & 1) != 0;
    page_size_ = log_number(header_, 8);
    bool power_of_two = (page_size_ & (page_size_ - 1)) == 0;
    if ((magic | 1) != 0x377f0683 || page_size_ < 512 || page_size_ > 65536 || !power_of_two) {
      return false;
    }
    std::memcpy(salts_.data(), header_.data() + 16, salt_size);
    sum_ = log_checksum().over(std::span(header_).first(24), big_endian_words_);
    return sum_ == log_checksum::stored_at(header_, 24);
  }

  bool has_contents(std::uint64_t from) const {
    std::vector<std::byte> part(65536);
    for (std::size_t got = 0; (got = log_.read(from, part)) != 0; from += got) {
      for (std::size_t at = 0; at < got; ++at) {
        if (part[at] != std::byte{0}) return true;
      }
    }
    return false;
  }

  bool is_of_this_log(std::span<const std::byte> frame) const {
    return std::memcmp(frame.data() + 8, salts_.data(), salt_size) == 0;
  }
  /// From `at` on, up to which all are whole.
  std::uint64_t end_of_whole_frames(std::uint64_t at) {
    std::vector<std::byte> frame(frame_header_size + page_size_);
    for (; read_exactly(at, frame) && is_of_this_log(frame); at += frame.size()) {
      log_checksum next = sum_.over_frame(frame, big_endian_words_);
      if (next != log_checksum::stored_at(frame, 16)) break;
      sum_ = next;
    }
    return at;
  }

  /// Whether two frames that end a transaction of this log lie at `from` or behind, wherever they
  /// begin, in a row of frames that follow one another by their checksums.
  bool has_commits_in_a_row(std::uint64_t from) const {
    std::vector<std::byte> frame(frame_header_size + page_size_);
    std::uint64_t next = 0;
    log_checksum before;
    unsigned commits = 0;
    for (std::uint64_t at = from; find_frame(at); ++at) {
      if (!read_exactly(at, frame)) return false;
      log_checksum stored = log_checksum::stored_at(frame, 16);
      bool follows = at == next && before.over_frame(frame, big_endian_words_) == stored;
      if (!follows) commits = 0;
      if (log_number(frame, 4) != 0 && ++commits == 2) return true;
      before = stored;
      next = at + frame.size();
    }
    return false;
  }

  /// Moves `at` to the next frame of this log. It is known by the log's 64 random bits; before them
  /// are the number of its page, and, if it ends a transaction, the size of the database.
  bool find_frame(std::uint64_t& at) const {
    std::vector<std::byte> part(65536);
    while (at + frame_header_size <= size_) {
      part.resize(static_cast<std::size_t>(std::min<std::uint64_t>(part.capacity(), size_ - at)));
      if (!read_exactly(at, part)) return false;
      auto found = std::search(part.begin() + 8, part.end(), salts_.begin(), salts_.end());
      if (found != part.end()) {
        at += static_cast<std::uint64_t>(found - part.begin()) - 8;
        return true;
      }
      at += part.size() - (8 + salt_size - 1);
    }
    return false;
  }

  const Log& log_;
  std::uint64_t size_;
  header header_{};
  salts salts_{};
  std::uint32_t page_size_ = 0;
  bool big_endian_words_ = false;
  log_checksum sum_;
  unsigned attempts_ = 0;
};

}  // namespace ilm::inline v0::detail
