#pragma once

#include <ilm/protocol/page.hpp>
#include <ilm/stored.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace ilm::inline v0::runtime {

/// How many messages at the front of a page answer the request: in order from the first one asked
/// for, with the sequences that `stored` gives them, and within the limit. A backend that returns
/// others must neither deliver a message under a wrong number nor fill the memory.
inline std::size_t count_usable(const protocol::page_request& asked, const cursors& stored,
                                std::span<const stored_message> page) noexcept {
  auto has_its_sequence = [&](const stored_message& m) {
    if (asked.source() == queue::outbox) return m.sequence == m.index;
    // The offset of a former stream is not kept.
    if (m.index < stored.inbox.start) return m.sequence != 0;
    return m.sequence == m.index + stored.inbox.offset;
  };
  std::size_t count = 0;
  std::size_t bytes = 0;
  for (const stored_message& m : page) {
    bytes += m.size();
    bool within = count < asked.messages && (count == 0 || bytes <= asked.bytes);
    if (!within || m.index != asked.from + count || !has_its_sequence(m)) break;
    ++count;
  }
  return count;
}

}  // namespace ilm::inline v0::runtime
