#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/outbox_cache.hpp>
#include <ilm/protocol/rtt.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>

namespace ilm::inline v0::protocol {

/// Finds lost messages from acks. A message is lost if one sent later arrived and reordering no
/// longer explains it (RFC 8985, section 6.2). Without a retransmission or a gap in the present
/// flight, nothing can be out of order.
class loss_detector {
 public:
  explicit loss_detector(const options& o) noexcept : round_trip_(o) {}

  round_trip& times() noexcept { return round_trip_; }
  const round_trip& times() const noexcept { return round_trip_; }

  void handle_session() noexcept { newest_arrived_ = 0; }
  void handle_session_end() noexcept { deadline_ = never; }
  /// A frame begins: `handle_sent` tells of each message in it.
  void handle_frame() noexcept { ++transmit_serial_; }
  void handle_sent(outgoing_message& m, timestamp now) const noexcept {
    assert(transmit_serial_ != 0 && !m.sacked);
    m.sent_at = now;
    m.transmit_serial = transmit_serial_;
    if (m.transmissions < 255) ++m.transmissions;
  }
  /// A message up to `sequence` was sent again, or arrived out of order.
  void handle_disorder(std::uint64_t sequence) noexcept {
    disordered_until_ = std::max(disordered_until_, sequence);
  }
  void handle_arrival(const outgoing_message& m, timestamp now) noexcept {
    assert(m.transmissions != 0 && m.transmit_serial <= transmit_serial_);
    if (m.transmissions > 1 && !round_trip_.plausible(now - m.sent_at)) {
      // The original arrived; frames sent after the retransmission prove nothing.
      return round_trip_.spurious_retransmission();
    }
    newest_arrived_ = std::max(newest_arrived_, m.transmit_serial);
  }

  /// Marks the lost ones among the messages in flight, which are those from `first` to `end` - 1.
  void find(outbox_cache& cache, std::uint64_t first, std::uint64_t end, timestamp now) noexcept {
    assert(first >= cache.first() && end <= cache.next());
    deadline_ = never;
    if (first > disordered_until_) return;
    duration patience = round_trip_.smoothed() + round_trip_.reordering();
    for (std::uint64_t s = first; s < end; ++s) {
      const outgoing_message& m = cache.at(s);
      if (m.sacked || m.lost || m.transmit_serial >= newest_arrived_) continue;
      timestamp lost_at = after(m.sent_at, patience);
      if (lost_at <= now) {
        cache.mark_lost(s);
      } else {
        deadline_ = std::min(deadline_, lost_at);
      }
    }
  }
  /// When to look again.
  timestamp deadline() const noexcept { return deadline_; }

  bool invariants_hold() const noexcept {
    return newest_arrived_ <= transmit_serial_ && round_trip_.invariants_hold();
  }

 private:
  round_trip round_trip_;
  std::uint64_t transmit_serial_ = 0;  ///< of the last frame
  std::uint64_t newest_arrived_ = 0;   ///< the highest serial of a message that arrived
  std::uint64_t disordered_until_ = 0;
  timestamp deadline_ = never;
};

}  // namespace ilm::inline v0::protocol
