#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::protocol {

// Every bound of the protocol that no option sets.

/// Sequences end here, far from where arithmetic on them could overflow.
inline constexpr std::uint64_t maximum_sequence = ~std::uint64_t{0} - (std::uint64_t{1} << 32);

/// Counts of stamps end here. A history gets nowhere near `plausible_count` by itself: a higher
/// count of this side's stamps than that, and than its own, is not believed; and one of the peer's
/// gives way to a lower one. So there is always room behind whatever a peer claims.
inline constexpr std::uint64_t maximum_count = std::uint64_t{1} << 62;
inline constexpr std::uint64_t plausible_count = maximum_count / 2;

/// A peer may grant so much beyond its `received`. More is an error of its sender.
inline constexpr std::uint64_t maximum_credit_messages = std::uint64_t{1} << 30;
inline constexpr std::uint64_t maximum_credit_bytes = std::uint64_t{1} << 46;

/// The largest frame, in bytes: the length of a record has 30 bits. Of a network that carries
/// larger ones, no more is used.
inline constexpr std::size_t largest_frame = std::size_t{1} << 30;

/// How many ranges of messages received out of order an ack names.
inline constexpr std::size_t maximum_ack_ranges = 32;

/// The longest encoded peer id, in bytes.
inline constexpr std::size_t maximum_peer_id_size = 255;

/// The attributes of a message: how many, how many bytes in all, and the longest key of a header.
inline constexpr std::size_t maximum_attributes = 32;
inline constexpr std::size_t maximum_attributes_size = 4096;
inline constexpr std::size_t maximum_header_key_size = 64;

/// How often a frame of a version that is not spoken is answered with those that are, at most.
inline constexpr std::chrono::seconds versions_interval{10};

/// How long a hello may take that answers a challenge.
inline constexpr std::chrono::minutes nonce_lifetime{2};

/// How many hellos of one peer that begin a history anew, or fall out with this side, are admitted
/// at once; the bounds of the wait before each further one, which doubles; and how long it takes
/// without any, beyond that wait, until one more is admitted at once again. The longest wait is
/// well below `nonce_lifetime`, so that a hello which is said again is still fresh when it is over.
inline constexpr std::int64_t renewals_at_once = 24;
inline constexpr std::chrono::seconds shortest_renewal_wait{1};
inline constexpr std::chrono::seconds longest_renewal_wait{64};
inline constexpr std::chrono::seconds renewal_returns_after{10};

/// Of how many frames that no echo has named the moments of sending are remembered, besides one for
/// each message in the window.
inline constexpr std::size_t remembered_frames = 64;

/// How often in a row the retransmission timeout doubles.
inline constexpr unsigned maximum_timeout_doublings = 16;

/// Whether credit is within the bounds, relative to `received`. Nobody receives bytes that were not
/// granted.
constexpr bool credit_in_range(std::uint64_t credit_sequence, std::uint64_t received,
                               std::uint64_t credit_bytes, std::uint64_t received_bytes) noexcept {
  return credit_sequence <= received + maximum_credit_messages && credit_bytes >= received_bytes &&
         credit_bytes - received_bytes <= maximum_credit_bytes;
}

}  // namespace ilm::inline v0::protocol
