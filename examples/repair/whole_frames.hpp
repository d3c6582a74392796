#pragma once

#include "files.hpp"

#include <ilm/backends/sqlite/log_check.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <span>
#include <utility>
#include <vector>

inline void put_number(std::span<std::byte> to, std::size_t at, std::uint32_t value) {
  for (std::size_t i = 0; i < 4; ++i) to[at + i] = static_cast<std::byte>(value >> (24 - 8 * i));
}

inline bool is_page_size(std::uint32_t size) {
  return size >= 512 && size <= 65536 && (size & (size - 1)) == 0;
}

inline std::uint32_t page_size_of(const file_reader& main, const file_reader& log) {
  std::array<std::byte, 32> head{};
  if (log.read(0, head) == head.size() && is_page_size(store::log_number(head, 8))) {
    return store::log_number(head, 8);
  }
  if (main.read(0, head) == head.size()) {
    std::uint32_t size = store::log_number(head, 14) & 0xffff;
    if (size == 1) size = 65536;
    if (is_page_size(size)) return size;
  }
  return 4096;
}

/// The whole frames of a log, also behind damage: a frame is checked by the checksum that is stored
/// in the frame before it. The format is in SQLite's documentation (fileformat2.html#walformat).
class whole_frames {
 public:
  whole_frames(const file_reader& log, std::uint32_t page_size) : page_size_(page_size) {
    std::array<std::byte, header_size> header{};
    std::vector<std::byte> frame(frame_header_size + page_size);
    if (log.read(0, header) != header.size() || log.read(header_size, frame) != frame.size()) {
      return;
    }
    big_endian_ = store::log_number(header, 0) == 0x377f0683;
    // The same in every frame, so that a damaged header does not matter.
    std::array<std::byte, 8> salts{};
    bool trusted = store::log_checksum().over(std::span(header).first(24), big_endian_) ==
                   store::log_checksum::stored_at(header, 24);
    std::memcpy(salts.data(), trusted ? header.data() + 16 : frame.data() + 8, salts.size());
    auto before = store::log_checksum::stored_at(header, 24);
    for (std::uint64_t at = header_size; log.read(at, frame) == frame.size(); at += frame.size()) {
      std::span<const std::byte> all(frame);
      store::log_checksum expected = before.over_frame(all, big_endian_);
      before = store::log_checksum::stored_at(all, 16);
      if (expected != before || std::memcmp(&frame[8], salts.data(), salts.size()) != 0) continue;
      places_.emplace_back(store::log_number(all, 0), at + frame_header_size);
      // A transaction behind the last commit was never finished.
      if (store::log_number(all, 4) != 0) committed_ = places_.size();
    }
    places_.resize(committed_);
  }

  bool empty() const noexcept { return places_.empty(); }

  void apply(const file_reader& log, std::fstream& main) const {
    std::vector<std::byte> page(page_size_);
    for (const auto& [number, at] : places_) {
      if (number == 0 || log.read(at, page) != page.size()) continue;
      main.seekp(static_cast<std::streamoff>(std::uint64_t{number - 1} * page_size_));
      main.write(reinterpret_cast<const char*>(page.data()), page_size_);
    }
  }

 private:
  static constexpr std::size_t header_size = 32;
  static constexpr std::size_t frame_header_size = store::log_checksum::frame_header_size;

  std::uint32_t page_size_;
  bool big_endian_ = false;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> places_;  ///< page, place of its contents
  std::size_t committed_ = 0;
};
