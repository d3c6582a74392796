#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

// Every bound of the network over TCP that is no option; tcp_options has the others.

namespace ilm::inline v0::detail::tcp {

/// An encoded peer id: its size is one byte on the wire.
inline constexpr std::size_t maximum_id_size = 255;
/// A whole message of the handshake, its header included.
inline constexpr std::size_t maximum_message_size = 1024;
/// tcp_options::maximum_frame_size may not exceed it.
inline constexpr std::size_t frame_size_limit = std::numeric_limits<std::int32_t>::max();

/// A connection dialed by the other side within this time of one dialed by this side collides with
/// it; later, it succeeds it.
inline constexpr auto collision_window = std::chrono::seconds(1);
/// The time for the first message of a handshake while more than half of the places for
/// unauthenticated connections are taken, if tcp_options::handshake_timeout is not shorter.
inline constexpr auto pressed_handshake_timeout = std::chrono::seconds(1);
/// The time that a refused peer gets to read the reason and to close its side.
inline constexpr auto refusal_timeout = std::chrono::seconds(1);
/// How long to wait after a failure to accept, such as too many open files, at first and at most;
/// and how long after the last failure of a series it is over.
inline constexpr auto minimum_accept_pause = std::chrono::milliseconds(20);
inline constexpr auto maximum_accept_pause = std::chrono::milliseconds(500);
inline constexpr auto accept_calm = std::chrono::seconds(5);
/// How long a probe of a session waits to hear something of the peer.
inline constexpr auto probe_timeout = std::chrono::seconds(1);
/// How much later an empty frame is sent than after tcp_options::keepalive_interval: a part of it.
inline constexpr int keepalive_grace_part = 32;
/// How often a side that does not read sends an empty frame, since it cannot see a probe.
inline constexpr auto unread_keepalive_interval = std::chrono::milliseconds(300);
static_assert(3 * unread_keepalive_interval < probe_timeout);
/// How many of the addresses of a name are dialed, and at which intervals (the Connection Attempt
/// Delay of RFC 8305, 8).
inline constexpr std::size_t endpoint_limit = 8;
inline constexpr auto attempt_delay = std::chrono::milliseconds(250);
/// How long a connection has the handshake to itself before that of another address begins too.
inline constexpr auto handshake_head_start = std::chrono::seconds(1);
/// How long to wait for a look-up before the last addresses of the name are dialed.
inline constexpr auto lookup_patience = std::chrono::milliseconds(250);
/// How many look-ups that are not late run at once, each in a thread of its own; and beyond how
/// many late ones no name is looked up whose last look-up was late, too.
inline constexpr std::size_t prompt_lookup_limit = 64;
inline constexpr std::size_t slow_lookup_limit = 64;
/// How many reads a refused peer may take to close its side, and a process whose name another one
/// took over.
inline constexpr int reads_after_refusal = 16;
inline constexpr int reads_after_takeover = 4096;

/// How many processes that lose their session are told why at once; further ones are closed.
inline constexpr std::size_t dismissed_limit = 64;

/// How long a name stays with its process after a takeover from a living one, at first and at most;
/// how long this is remembered, and of how many names.
inline constexpr auto minimum_takeover_wait = std::chrono::seconds(1);
inline constexpr auto maximum_takeover_wait = std::chrono::seconds(256);
inline constexpr auto takeover_memory = std::chrono::seconds(512);
inline constexpr std::size_t takeover_limit = 256;
/// The text of an address in a refusal, in bytes.
inline constexpr std::size_t refusal_text_limit = 64;

/// How many problems wait to be received.
inline constexpr std::size_t problem_limit = 64;
/// How many refusals for one reason are reported at once; how long until one more is, at first and
/// at most; and after how long without a refusal it begins anew.
inline constexpr unsigned refusal_burst = 16;
inline constexpr auto minimum_refusal_interval = std::chrono::seconds(1);
inline constexpr auto maximum_refusal_interval = std::chrono::seconds(512);
inline constexpr auto refusal_calm = std::chrono::seconds(60);
/// Of a truncated HMAC-SHA-256 (RFC 2104, 5: at least half of it).
inline constexpr std::size_t frame_tag_size = 16;
/// The memory that a frame takes here besides its bytes.
inline constexpr std::size_t frame_overhead = 64;

/// The buffer from which small frames are cut, and the first part of a larger one.
inline constexpr std::size_t read_buffer_size = 16 << 10;
inline constexpr std::size_t first_part_size = 64 << 10;
/// How many buffers one write gathers.
inline constexpr std::size_t gathered_buffers = 64;

}  // namespace ilm::inline v0::detail::tcp
