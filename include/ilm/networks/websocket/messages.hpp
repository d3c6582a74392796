#pragma once

#include <ilm/networks/tcp/types.hpp>
#include <ilm/networks/websocket/close_code.hpp>
#include <ilm/networks/websocket/error.hpp>
#include <ilm/networks/websocket/limits.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <wslay/wslay.h>

namespace ilm::inline v0::detail::websocket {

using tcp::byte_string;
using tcp::byte_view;

/// The messages of a WebSocket (RFC 6455, 5), whose frames wslay reads and writes, sans I/O. Binary
/// messages are a stream of bytes: where one ends means nothing. Pings are answered.
class messages {
 public:
  /// Draws the key that a client masks a frame with: unpredictable.
  using mask_source = std::function<std::uint32_t()>;

  /// A client has a source of masks, a server has none. `maximum` is that of a message.
  messages(std::size_t maximum, mask_source mask) : maximum_(maximum), mask_(std::move(mask)) {
    wslay_frame_callbacks callbacks{put_bytes, get_bytes, draw_mask};
    wslay_frame_context_ptr made = nullptr;
    if (wslay_frame_context_init(&made, &callbacks, this) != 0) throw std::bad_alloc();
    frames_.reset(made);
  }
  messages(const messages&) = delete;
  messages& operator=(const messages&) = delete;

  /// Takes bytes of the other side: appends the contents of binary messages to `contents`, and the
  /// answers that it is owed to `out`. Nothing can be taken after an error, or after `closed`.
  std::error_code take(byte_view in, byte_string& contents, byte_string& out) {
    assert(!closed_);
    in_ = in;
    out_ = &out;
    std::error_code wrong;
    while (!wrong && !closed_) {
      wslay_frame_iocb part{};
      ssize_t size = wslay_frame_recv(frames_.get(), &part);
      if (size == WSLAY_ERR_WANT_READ) break;
      wrong = size < 0 ? websocket_error::protocol_violation : handle_part(part, contents);
    }
    return wrong;
  }

  /// The code of the close frame that arrived.
  std::optional<close_code> closed() const noexcept { return closed_; }

  /// Appends a binary message to `out`. Returns the size of its contents.
  template <class Parts>
  std::size_t append(const Parts& parts, byte_string& out) {
    std::size_t size = 0;
    for (const auto& p : parts) size += p.size();
    out_ = &out;
    bool begun = false;
    for (const auto& p : parts) {
      if (p.size() == 0 && (begun || size != 0)) continue;
      put(WSLAY_BINARY_FRAME, size, byte_view(static_cast<const std::byte*>(p.data()), p.size()));
      begun = true;
    }
    return size;
  }

  void append_close(close_code code, byte_string& out) {
    out_ = &out;
    auto value = static_cast<unsigned>(code);
    byte_string body{static_cast<std::byte>(value >> 8), static_cast<std::byte>(value)};
    put(WSLAY_CONNECTION_CLOSE, body.size(), body);
  }

  /// All answers are with the system.
  void handle_sent() noexcept { unsent_pongs_ = 0; }

 private:
  struct freed {
    void operator()(wslay_frame_context* c) const noexcept { wslay_frame_context_free(c); }
  };

  static ssize_t get_bytes(std::uint8_t* to, std::size_t size, int, void* self) {
    byte_view& in = static_cast<messages*>(self)->in_;
    byte_view taken = in.first(std::min(size, in.size()));
    std::ranges::copy(taken, reinterpret_cast<std::byte*>(to));
    in = in.subspan(taken.size());
    return taken.empty() ? -1 : static_cast<ssize_t>(taken.size());
  }
  static ssize_t put_bytes(const std::uint8_t* from, std::size_t size, int, void* self) {
    byte_string& out = *static_cast<messages*>(self)->out_;
    auto bytes = reinterpret_cast<const std::byte*>(from);
    out.insert(out.end(), bytes, bytes + size);
    return static_cast<ssize_t>(size);
  }
  static int draw_mask(std::uint8_t* to, std::size_t size, void* self) {
    std::uint32_t drawn = static_cast<messages*>(self)->mask_();
    for (std::size_t i = 0; i < size; ++i, drawn >>= 8) to[i] = static_cast<std::uint8_t>(drawn);
    return 0;
  }

  /// A part of a frame whose payload has `whole` bytes in all.
  void put(std::uint8_t opcode, std::size_t whole, byte_view part) {
    wslay_frame_iocb frame{};
    frame.fin = 1;
    frame.opcode = opcode;
    frame.payload_length = whole;
    frame.mask = mask_ ? 1 : 0;
    frame.data = reinterpret_cast<const std::uint8_t*>(part.data());
    frame.data_length = part.size();
    [[maybe_unused]] ssize_t sent = wslay_frame_send(frames_.get(), &frame);
    assert(sent == static_cast<ssize_t>(part.size()));
  }

  /// Some bytes of a frame, or all of them, or the end of an empty one.
  std::error_code handle_part(const wslay_frame_iocb& part, byte_string& contents) {
    bool is_control = (part.opcode & 8) != 0;
    if (frame_taken_ == 0) {
      std::error_code wrong = is_control ? begin_control(part) : begin_data(part);
      if (wrong) return wrong;
    }
    auto bytes = reinterpret_cast<const std::byte*>(part.data);
    byte_string& to = is_control ? control_ : contents;
    to.insert(to.end(), bytes, bytes + part.data_length);
    frame_taken_ += part.data_length;
    if (frame_taken_ < part.payload_length) return {};
    frame_taken_ = 0;
    if (is_control) return end_control(part.opcode);
    if (part.fin) message_size_.reset();
    return {};
  }

  /// A client masks its frames, a server does not; nobody has asked for an extension.
  bool is_from_other_side(const wslay_frame_iocb& part) const noexcept {
    return part.rsv == 0 && (part.mask != 0) == !mask_;
  }

  std::error_code begin_data(const wslay_frame_iocb& part) {
    if (!is_from_other_side(part)) return websocket_error::protocol_violation;
    bool goes_on = part.opcode == WSLAY_CONTINUATION_FRAME;
    if (goes_on != message_size_.has_value()) return websocket_error::protocol_violation;
    if (part.opcode == WSLAY_TEXT_FRAME) return websocket_error::text_message;
    if (!goes_on && part.opcode != WSLAY_BINARY_FRAME) return websocket_error::protocol_violation;
    if (!goes_on) message_size_ = 0;
    if (part.payload_length > maximum_ - *message_size_) return websocket_error::message_too_large;
    *message_size_ += static_cast<std::size_t>(part.payload_length);
    return {};
  }

  std::error_code begin_control(const wslay_frame_iocb& part) {
    control_.clear();
    bool known = part.opcode == WSLAY_CONNECTION_CLOSE || part.opcode == WSLAY_PING ||
                 part.opcode == WSLAY_PONG;
    if (known && is_from_other_side(part)) return {};
    return websocket_error::protocol_violation;
  }

  std::error_code end_control(std::uint8_t opcode) {
    assert(control_.size() <= maximum_control_size);
    if (opcode == WSLAY_PING) {
      unsent_pongs_ += 2 + control_.size();
      if (unsent_pongs_ > maximum_unsent_pongs) return websocket_error::protocol_violation;
      put(WSLAY_PONG, control_.size(), control_);
    }
    if (opcode != WSLAY_CONNECTION_CLOSE) return {};
    close_code code = close_code::none;
    if (control_.size() >= 2) {
      code = static_cast<close_code>(std::to_integer<unsigned>(control_[0]) << 8 |
                                     std::to_integer<unsigned>(control_[1]));
    }
    if (control_.size() == 1 || (control_.size() >= 2 && !is_valid(code))) {
      return websocket_error::protocol_violation;
    }
    closed_ = code;
    return {};
  }

  const std::size_t maximum_;
  const mask_source mask_;
  std::unique_ptr<wslay_frame_context, freed> frames_;
  byte_view in_;                             ///< for wslay to read
  byte_string* out_ = nullptr;               ///< for wslay to write to
  std::uint64_t frame_taken_ = 0;            ///< of the frame that is arriving
  std::optional<std::size_t> message_size_;  ///< so far, of the message that is arriving
  byte_string control_;
  std::size_t unsent_pongs_ = 0;
  std::optional<close_code> closed_;
};

}  // namespace ilm::inline v0::detail::websocket
