#pragma once

#include <cstddef>

namespace ilm::inline v0::protocol {

/// How much memory the messages of one peer take: bytes of contents and attributes, and
/// `message_overhead` for each message. Sends that wait for the store are not in it: they have a
/// bound of their own over all peers.
struct memory_use {
  std::size_t held = 0;        ///< all
  std::size_t releasable = 0;  ///< of `held`: association::handle_memory_short lets go of it
  std::size_t unstored = 0;    ///< of `held`: received, in order, and not yet in the store

  memory_use& operator+=(const memory_use& other) noexcept {
    held += other.held;
    releasable += other.releasable;
    unstored += other.unstored;
    return *this;
  }
};

/// The bytes that a message in memory takes besides its contents and attributes, about: the entry
/// in its queue, and the system's share of each allocation.
inline constexpr std::size_t message_overhead = 160;

/// The bytes that a message in memory takes, by the bytes of its contents and attributes.
constexpr std::size_t held_size(std::size_t size) noexcept { return size + message_overhead; }

}  // namespace ilm::inline v0::protocol
