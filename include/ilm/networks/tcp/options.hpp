#pragma once

#include <ilm/options.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>

namespace ilm::inline v0 {

/// The proof that a side knows a key: an HMAC-SHA-256.
using tcp_proof = std::array<std::byte, 32>;

/// Every bound and every time of a tcp_network.
struct tcp_options {
  using duration = std::chrono::nanoseconds;

  /// The largest frame in bytes, at least ilm::minimum_frame_size; the same on both sides, or there
  /// is no session. A message travels in one frame.
  std::size_t maximum_frame_size = (1 << 20) + 1024;

  /// How many bytes may wait here for a slow peer, beside the system's buffers; `send` waits
  /// beyond it. At most one frame more is held.
  std::size_t send_buffer = 256 << 10;

  /// How many bytes of a peer may wait here for `receive`; beyond it nothing more is read from the
  /// peer. At most one frame and 16 KiB more are held. A frame counts 64 bytes more than its size.
  std::size_t receive_buffer = 256 << 10;

  /// An empty frame is sent when nothing was for `keepalive_interval` and a 32nd of it, and a
  /// session ends from which nothing was heard for `keepalive_timeout`. An interval of 0 turns both
  /// off.
  duration keepalive_interval = std::chrono::seconds(5);
  duration keepalive_timeout = std::chrono::seconds(16);

  /// How long to wait before dialing again, at first and at most; it doubles with every failure.
  /// Each wait is drawn between half of it and all of it.
  duration minimum_reconnect_delay = std::chrono::milliseconds(50);
  duration maximum_reconnect_delay = std::chrono::seconds(5);

  /// How long the look-up of a name, then connecting, and then the handshake may take.
  duration handshake_timeout = std::chrono::seconds(5);

  /// How many peers may have a session here before further ones are refused. One in the address
  /// book never is: the session of another peer ends for its own. With the connections in the
  /// handshake, the default leaves room under a limit of 1,024 file descriptors.
  std::size_t maximum_connections = 512;
  /// How many of the peers at one address (of IPv6: in one network of 64 bits) may have a session
  /// that are neither in the address book nor have proven a key.
  std::size_t maximum_connections_per_address = 128;
  /// How many incoming connections may be in the handshake, in all and from one address (of IPv6:
  /// from one network of 64 bits). Beyond it the oldest is closed, of the address that has most.
  /// While more than half of the places are taken, the first message has to come within a second.
  std::size_t maximum_unauthenticated = 256;
  std::size_t maximum_unauthenticated_per_address = 64;

  /// Refuses incoming connections of peers that are not in the address book.
  bool address_book_only = false;
  /// Decides, beside `address_book_only`, whether a peer may connect: gets its encoded id;
  /// `accept_peers` of ilm/networks/tcp.hpp makes one of a function of ids. It is called on the
  /// strand of `receive`, when a connection claims the id and again before its session begins. A
  /// throw refuses the peer, and the event network_problem has its text. Without an effect on
  /// connections that this side dials.
  std::function<bool(std::span<const std::byte> peer)> accept;

  /// Turns the claim of an id into a proof: gives the HMAC-SHA-256 of `transcript` under the key
  /// shared with the peer whose encoded id is `peer`, or nothing if there is no such key; then the
  /// peer is refused. Both sides need it, or neither. The keys that protect the frames of a session
  /// are derived from it as well, from a transcript of their own. ilm/networks/tcp_psk.hpp makes
  /// one of keys. It is called on the strand of `receive`; a throw refuses the peer, and the event
  /// network_problem has its text.
  std::function<std::optional<tcp_proof>(std::span<const std::byte> peer,
                                         std::span<const std::byte> transcript)>
      prove;
};

/// Says which option of `o` is wrong; empty if none is.
inline std::string validation_error(const tcp_options& o) {
  if (o.maximum_frame_size < minimum_frame_size) {
    return "maximum_frame_size (" + std::to_string(o.maximum_frame_size) +
           ") is less than the least that ILM needs (" + std::to_string(minimum_frame_size) + ")";
  }
  if (o.maximum_frame_size > std::numeric_limits<std::int32_t>::max()) {
    return "maximum_frame_size (" + std::to_string(o.maximum_frame_size) + ") exceeds 2^31 - 1";
  }
  if (o.send_buffer == 0 || o.receive_buffer == 0) {
    return "send_buffer or receive_buffer is 0; nothing could move";
  }
  if (o.maximum_connections == 0 || o.maximum_connections_per_address == 0 ||
      o.maximum_unauthenticated == 0 || o.maximum_unauthenticated_per_address == 0) {
    return "maximum_connections, maximum_unauthenticated or the maximum per address of one of them "
           "is 0; nobody could connect";
  }
  constexpr tcp_options::duration zero{};
  if (o.minimum_reconnect_delay <= zero) return "minimum_reconnect_delay is not above 0";
  if (o.maximum_reconnect_delay < o.minimum_reconnect_delay) {
    return "maximum_reconnect_delay is below minimum_reconnect_delay";
  }
  if (o.handshake_timeout <= zero) return "handshake_timeout is not above 0";
  if (o.keepalive_interval < zero) return "keepalive_interval is negative";
  if (o.keepalive_interval > zero && o.keepalive_timeout <= o.keepalive_interval) {
    return "keepalive_timeout is not above keepalive_interval; a live peer would be given up";
  }
  return {};
}

}  // namespace ilm::inline v0
