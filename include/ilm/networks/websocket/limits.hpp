#pragma once

#include <chrono>
#include <cstddef>
#include <string_view>

// Every bound of the network over WebSocket that is no option, beside those of the network over
// TCP.

namespace ilm::inline v0::detail::websocket {

inline constexpr std::string_view subprotocol = "ilm.v1";

/// The head of an HTTP request or answer, in bytes.
inline constexpr std::size_t maximum_http_head = 8 << 10;
/// How many fields it may have.
inline constexpr std::size_t maximum_http_fields = 64;
/// A control frame's contents (RFC 6455, 5.5).
inline constexpr std::size_t maximum_control_size = 125;
/// The answers to pings that wait for the socket, in bytes: one that asks for more and does not
/// read floods this side.
inline constexpr std::size_t maximum_unsent_pongs = 32 << 10;
/// The bytes that are read from a socket at once, and that are made of queued frames before a
/// write.
inline constexpr std::size_t raw_buffer_size = 16 << 10;
inline constexpr std::size_t gathered_size = 64 << 10;

/// How much may wait in a browser before a page's WebSocket takes no more, in bytes, and how often
/// it is asked from then on.
inline constexpr std::size_t page_buffer_size = 64 << 10;
inline constexpr auto shortest_drain_interval = std::chrono::milliseconds(5);
inline constexpr auto longest_drain_interval = std::chrono::milliseconds(640);

}  // namespace ilm::inline v0::detail::websocket
