#pragma once

#include <ilm/networks/tcp/limits.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

inline constexpr std::size_t frame_prefix_size = 4;

/// In the place of a size: no frame, but the wish for an answer.
inline constexpr std::size_t ping_size = 0xffffffff;

inline std::array<std::byte, frame_prefix_size> frame_prefix(std::size_t size) noexcept {
  assert(size <= frame_size_limit || size == ping_size);
  std::array<std::byte, frame_prefix_size> prefix{};
  for (std::size_t i = 0; i < prefix.size(); ++i) {
    prefix[i] = static_cast<std::byte>(size >> (8 * (prefix.size() - 1 - i)));
  }
  return prefix;
}

/// Cuts a stream of bytes into frames: read into `space`, say `filled`, and `poll` until there is
/// none. Small frames are cut out of one buffer; a frame that is not all there is read in place.
class frame_splitter {
 public:
  explicit frame_splitter(std::size_t maximum) : maximum_(maximum), buffer_(read_buffer_size) {}

  /// Where the next bytes go; never empty.
  std::span<std::byte> space() {
    assert(!too_large_ && invariants_hold());
    if (!partial_) return std::span(buffer_).subspan(end_);
    // A length alone must not make this side set memory aside: it grows with the bytes that arrive.
    if (frame_filled_ == frame_.size()) {
      frame_.resize(std::min(frame_size_, std::max(2 * frame_filled_, first_part_size)));
    }
    return std::span(frame_).subspan(frame_filled_);
  }

  void filled(std::size_t size) noexcept {
    (partial_ ? frame_filled_ : end_) += size;
    assert(invariants_hold());
  }

  /// The next whole frame; an empty one keeps the connection alive.
  bool poll(std::vector<std::byte>& frame) {
    if (partial_) {
      if (frame_filled_ < frame_size_) return false;
      partial_ = false;
      frame = std::exchange(frame_, {});
      return true;
    }
    std::size_t held = end_ - begin_;
    if (too_large_ || held < frame_prefix_size) return compact(), false;
    std::size_t size = 0;
    for (std::size_t i = 0; i < frame_prefix_size; ++i) {
      size = size << 8 | std::to_integer<std::size_t>(buffer_[begin_ + i]);
    }
    if (size == ping_size) {
      pinged_ = true;
      size = 0;
    }
    if (size > maximum_) return too_large_ = true, false;
    held -= frame_prefix_size;
    auto first = buffer_.begin() + static_cast<std::ptrdiff_t>(begin_ + frame_prefix_size);
    if (held >= size) {
      frame.assign(first, first + static_cast<std::ptrdiff_t>(size));
      begin_ += frame_prefix_size + size;
      return true;
    }
    frame_.assign(first, first + static_cast<std::ptrdiff_t>(held));
    frame_filled_ = held;
    frame_size_ = size;
    partial_ = true;
    begin_ = end_ = 0;
    return false;
  }

  /// Whether there was a ping since the last call.
  bool take_ping() noexcept { return std::exchange(pinged_, false); }

  /// Whether a frame exceeds the maximum. Nothing can be read behind it.
  bool too_large() const noexcept { return too_large_; }

 private:
  bool invariants_hold() const noexcept {
    if (begin_ > end_ || end_ > buffer_.size()) return false;
    return !partial_ || (begin_ == end_ && frame_filled_ <= frame_.size() &&
                         frame_.size() <= frame_size_ && frame_size_ <= maximum_);
  }

  void compact() noexcept {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }

  std::size_t maximum_;
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<std::byte> frame_;
  std::size_t frame_size_ = 0;
  std::size_t frame_filled_ = 0;
  bool partial_ = false;
  bool too_large_ = false;
  bool pinged_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
