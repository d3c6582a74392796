#pragma once

#include <ilm/networks/tcp/frame_mac.hpp>
#include <ilm/networks/tcp/handshake.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
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

/// All that goes ahead of the bytes of a frame: its size, and with keys a tag of the size, and one
/// of the frame if that has bytes. The size has a tag of its own: were it believed before it is
/// proven, one changed bit in it would have this side wait for bytes that nobody sent.
inline constexpr std::size_t maximum_head_size = frame_prefix_size + 2 * frame_tag_size;

class frame_head {
 public:
  frame_head(std::size_t size, byte_view body, std::optional<frame_mac>& mac) {
    assert(size == body.size() || (size == ping_size && body.empty()));
    append(frame_prefix(size));
    if (!mac) return;
    byte_view prefix = bytes();
    append(mac->tag(prefix));
    if (!body.empty()) append(mac->tag(prefix, body));
    mac->next_frame();
  }

  byte_view bytes() const noexcept { return byte_view(bytes_).first(size_); }

 private:
  void append(byte_view part) {
    std::ranges::copy(part, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += part.size();
  }

  std::array<std::byte, maximum_head_size> bytes_{};
  std::size_t size_ = 0;
};

/// Cuts a stream of bytes into frames: read into `space`, say `filled`, and `poll` until there is
/// none. Small frames are cut out of one buffer; a frame that is not all there is read in place.
/// With keys each frame has to have its tags.
class frame_splitter {
 public:
  explicit frame_splitter(std::size_t maximum, std::optional<frame_mac> mac = {})
      : maximum_(maximum), mac_(std::move(mac)), buffer_(read_buffer_size) {}

  /// Where the next bytes go; never empty.
  std::span<std::byte> space() {
    assert(!too_large_ && !altered_ && invariants_hold());
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
    if (too_large_ || altered_ || refusal_size_ != 0) return false;
    if (!partial_ && !read_head()) return false;
    if (frame_filled_ < frame_size_) return false;
    partial_ = false;
    if (mac_ && frame_size_ > 0 && !mac_->matches(frame_tag_, prefix_, frame_)) {
      return altered_ = true, false;
    }
    if (mac_) mac_->next_frame();
    frame = std::exchange(frame_, {});
    return true;
  }

  /// Whether there was a ping since the last call.
  bool take_ping() noexcept { return std::exchange(pinged_, false); }

  /// Whether a frame exceeds the maximum. Nothing can be read behind it.
  bool too_large() const noexcept { return too_large_; }
  /// Whether the frame that is next has not the tags of it. Nothing can be read behind it.
  bool altered() const noexcept { return altered_; }
  /// The refusal in the place of a frame, as a whole message; empty if there is none. Nothing
  /// follows it.
  std::span<const std::byte> refusal() const noexcept {
    return std::span(buffer_).subspan(begin_, refusal_size_);
  }

 private:
  bool invariants_hold() const noexcept {
    if (begin_ > end_ || end_ > buffer_.size()) return false;
    return !partial_ || (begin_ == end_ && frame_filled_ <= frame_.size() &&
                         frame_.size() <= frame_size_ && frame_size_ <= maximum_);
  }

  /// The other side may refuse a session that this side takes for begun, or end it with a reason:
  /// by a message of the handshake, without tags. The size of a frame would be beyond the maximum.
  bool begins_refusal(byte_view held) const noexcept {
    return held.size() >= frame_prefix_size && maximum_ < message_magic_size &&
           begins_message(held);
  }

  void read_refusal(byte_view held) noexcept {
    message_header header;
    if (held.size() < header_size) return compact();
    if (read_header(held.first<header_size>(), header) || header.type != message_type::refusal) {
      (mac_ ? altered_ : too_large_) = true;
    } else if (std::size_t size = header_size + header.body_size; held.size() < size) {
      compact();
    } else {
      refusal_size_ = size;
    }
  }

  /// Takes the next head and the bytes of its frame that are there; false if the head is not whole.
  bool read_head() {
    std::size_t held = end_ - begin_;
    byte_view in = byte_view(buffer_).subspan(begin_, held);
    if (begins_refusal(in)) return read_refusal(in), false;
    std::size_t size_end = frame_prefix_size + (mac_ ? frame_tag_size : 0);
    if (held < size_end) return compact(), false;
    std::ranges::copy(in.first(frame_prefix_size), prefix_.begin());
    if (mac_ && !mac_->matches(in.subspan(frame_prefix_size, frame_tag_size), prefix_)) {
      return altered_ = true, false;
    }
    std::size_t size = 0;
    for (std::byte digit : prefix_) size = size << 8 | std::to_integer<std::size_t>(digit);
    bool is_ping = size == ping_size;
    if (is_ping) size = 0;
    if (size > maximum_) return too_large_ = true, false;
    std::size_t head_end = size_end + (mac_ && size > 0 ? frame_tag_size : 0);
    if (held < head_end) return compact(), false;
    if (is_ping) pinged_ = true;
    byte_view tag = in.subspan(size_end, head_end - size_end);
    std::ranges::copy(tag, frame_tag_.begin());
    byte_view body = in.subspan(head_end, std::min(size, held - head_end));
    frame_.assign(body.begin(), body.end());
    frame_size_ = size;
    frame_filled_ = body.size();
    begin_ += head_end + body.size();
    partial_ = true;
    if (begin_ == end_) begin_ = end_ = 0;
    return true;
  }

  void compact() noexcept {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= std::exchange(begin_, 0);
  }

  std::size_t maximum_;
  std::optional<frame_mac> mac_;
  std::array<std::byte, frame_prefix_size> prefix_{};
  frame_tag frame_tag_{};
  std::vector<std::byte> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::vector<std::byte> frame_;
  std::size_t frame_size_ = 0;
  std::size_t frame_filled_ = 0;
  bool partial_ = false;
  bool too_large_ = false;
  bool altered_ = false;
  bool pinged_ = false;
  std::size_t refusal_size_ = 0;
};

}  // namespace ilm::inline v0::detail::tcp
