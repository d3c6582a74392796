#pragma once

#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/websocket/error.hpp>

#include <cstdint>
#include <system_error>

namespace ilm::inline v0::detail::websocket {

/// The reason in a close frame (RFC 6455, 7.4.1).
enum class close_code : std::uint16_t {
  normal = 1000,
  going_away = 1001,
  protocol_error = 1002,
  unsupported_data = 1003,
  none = 1005,
  message_too_large = 1009,
  internal_error = 1011,
  /// A tcp_error is this and its value.
  tcp_error_base = 4000,
};

/// The code for `why`, which is nothing where nobody is to blame.
inline close_code close_code_of(std::error_code why) noexcept {
  if (!why || why == tcp_error::handshake_cut) return close_code::normal;
  if (why == tcp_error::frame_too_large) return close_code::message_too_large;
  if (why.category() == tcp_category()) {
    return static_cast<close_code>(static_cast<int>(close_code::tcp_error_base) + why.value());
  }
  if (why == websocket_error::text_message) return close_code::unsupported_data;
  if (why == websocket_error::message_too_large) return close_code::message_too_large;
  if (why.category() == websocket_category()) return close_code::protocol_error;
  return close_code::internal_error;
}

/// Whether a close frame may have this code (RFC 6455, 7.4).
inline bool is_valid(close_code c) noexcept {
  auto value = static_cast<unsigned>(c);
  bool defined = value >= 1000 && value <= 1014 && (value < 1004 || value > 1006);
  return defined || (value >= 3000 && value <= 4999);
}

/// Whether the other side says that it closed for an error of this one, or of its own. Reasons of
/// ILM's are not: those that concern this side were in a refusal before.
inline bool is_error(close_code c) noexcept {
  return c > close_code::going_away && c < close_code::tcp_error_base && c != close_code::none;
}

}  // namespace ilm::inline v0::detail::websocket
