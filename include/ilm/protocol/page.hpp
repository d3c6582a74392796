#pragma once

#include <ilm/message.hpp>

#include <cstddef>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// Why the core asks for messages that are no longer in memory.
enum class page_purpose : std::uint8_t {
  outbox,        ///< to send them
  inbox,         ///< to deliver them
  verification,  ///< to compare the hash of one message in the outbox with the peer's
};

inline constexpr std::size_t page_purposes = 3;

/// A request for messages of a queue.
struct page_request {
  page_purpose purpose = page_purpose::outbox;
  std::uint64_t from = 0;  ///< the index of the first
  std::size_t messages = 0;
  std::size_t bytes = 0;

  queue source() const noexcept {
    return purpose == page_purpose::inbox ? queue::inbox : queue::outbox;
  }
};

}  // namespace ilm::inline v0::protocol
