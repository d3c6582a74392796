#pragma once

#include <string>
#include <system_error>

namespace ilm::inline v0 {

/// Why there is no session over a WebSocket, beside the reasons of tcp_error. Every message says
/// how to mend it.
enum class websocket_error {
  malformed_http = 1,
  not_upgraded,
  wrong_path,
  unsupported_version,
  wrong_subprotocol,
  origin_not_allowed,
  protocol_violation,
  text_message,
  message_too_large,
  closed_for_error,
  not_opened,
};

namespace detail {

class websocket_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ilm.websocket"; }

  std::string message(int value) const override {
    switch (static_cast<websocket_error>(value)) {
      case websocket_error::malformed_http:
        return "the other side does not speak HTTP/1.1 here; check the address, the port, and the "
               "proxies between";
      case websocket_error::not_upgraded:
        return "this is HTTP without a WebSocket; check the URL, and that proxies between pass "
               "Upgrade on";
      case websocket_error::wrong_path:
        return "no network is at this path; dial websocket_options::path of the other side";
      case websocket_error::unsupported_version:
        return "the other side speaks another version of WebSocket than 13; update it";
      case websocket_error::wrong_subprotocol:
        return "the other side does not offer the subprotocol ilm.v1; check what runs there, and "
               "that proxies between pass Sec-WebSocket-Protocol on";
      case websocket_error::origin_not_allowed:
        return "a page of another origin may not connect; add it to "
               "websocket_options::allowed_origins, or keep it out";
      case websocket_error::protocol_violation:
        return "what arrived does not follow RFC 6455, so the connection was ended; check what "
               "runs on the other side";
      case websocket_error::text_message:
        return "a text message arrived, but ILM sends binary ones, so the connection was ended; "
               "check what runs on the other side";
      case websocket_error::message_too_large:
        return "a message beyond tcp_options::maximum_frame_size arrived, so the connection was "
               "ended; set the same on both sides";
      case websocket_error::closed_for_error:
        return "the other side closed the WebSocket because of an error; see what it reports";
      case websocket_error::not_opened:
        return "the browser could not open the WebSocket, and tells scripts no reason; see its "
               "console, and whether the other side runs and takes the page's origin";
    }
    return "unknown error of ILM over WebSocket " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    if (static_cast<websocket_error>(value) == websocket_error::origin_not_allowed) {
      return std::errc::permission_denied;
    }
    return {value, *this};
  }
};

}  // namespace detail

/// The category of ilm::websocket_error.
inline const std::error_category& websocket_category() noexcept {
  static const detail::websocket_category_impl category;
  return category;
}

inline std::error_code make_error_code(websocket_error e) noexcept {
  return {static_cast<int>(e), websocket_category()};
}

}  // namespace ilm::inline v0

template <>
struct std::is_error_code_enum<ilm::websocket_error> : std::true_type {};
