#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

// The bounds of the kits, besides kit_options::limit.

namespace ilm::inline v0::testing::kit::limits {

// Running the user's context.

/// A context that runs more handlers at one moment of simulated time is always busy.
inline constexpr std::size_t handlers_at_once = 1'000'000;
/// Handlers that run between two looks at the real clock.
inline constexpr int handlers_per_look = 64;
/// A blocked thread looks at the real clock this often.
inline constexpr std::chrono::milliseconds look_interval(2);
/// Operations that never complete, after which the kit gives up.
inline constexpr int stuck_operations = 3;

// Networks.

/// No violation may be reported for this long after a check.
inline constexpr std::chrono::milliseconds quiet_time(15);
/// The time a cancelled operation has to end.
inline constexpr std::chrono::milliseconds leave_time(500);
/// A receive that waits for nothing may run this many handlers in this time.
inline constexpr std::chrono::milliseconds idle_time(100);
inline constexpr std::size_t idle_handlers = 40;
/// The count stops there.
inline constexpr std::size_t idle_handlers_counted = 1000;
/// Frames that are sent on an unreliable network until one arrives, and the wait for each.
inline constexpr int attempts = 300;
inline constexpr std::chrono::milliseconds attempt_time(20);
/// Larger frames are not tried.
inline constexpr std::size_t largest_frame = std::size_t{64} << 20;
/// Frames of so many bytes together are sent to try sizes, and one after the other so many.
inline constexpr std::size_t tried_bytes = std::size_t{32} << 20;
inline constexpr std::size_t tried_sizes = 300;
/// Peers that are there at once, if not two or three.
inline constexpr std::size_t several_peers = 10;
/// Sent to a peer that does not receive: frames of up to this size, up to these sums.
inline constexpr std::size_t unreceived_frame = std::size_t{256} << 10;
inline constexpr std::size_t unreceived_bytes = std::size_t{24} << 20;
inline constexpr std::size_t unreceived_frames = 4000;

// Backends.

/// More peers, messages of a queue, and messages of a page than a small table has room for.
inline constexpr std::size_t many_peers = 1100;
inline constexpr std::size_t many_messages = 3000;
/// Of many peers, the messages of every so many are read.
inline constexpr std::size_t peers_between_reads = 50;
/// A handle that is refused gets its error within this time.
inline constexpr std::chrono::seconds refusal_time(1);
/// Handlers of a commit, between which a crash is tried.
inline constexpr unsigned crash_handlers = 12;
/// Writes of a commit, at which a crash is tried.
inline constexpr unsigned crash_steps = 500;
/// Commits beside which a read is tried.
inline constexpr unsigned reads_beside_commits = 40;

}  // namespace ilm::inline v0::testing::kit::limits
