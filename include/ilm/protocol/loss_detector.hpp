#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/frame_log.hpp>
#include <ilm/protocol/outbox_cache.hpp>
#include <ilm/protocol/rtt.hpp>
#include <ilm/protocol/time.hpp>

#include <cassert>
#include <cstdint>
#include <optional>

namespace ilm::inline v0::protocol {

/// Finds lost messages, and measures round trips, from the frame numbers that acks echo. When an
/// ack echoes a frame, all that had arrived up to it is acknowledged: a message whose last frame is
/// an older one is lost once reordering no longer explains it (RFC 8985, section 6.2).
class loss_detector {
 public:
  explicit loss_detector(const options& o)
      : frames_(o.window_messages + remembered_frames), round_trip_(o) {}

  round_trip& times() noexcept { return round_trip_; }
  const round_trip& times() const noexcept { return round_trip_; }

  void handle_session() noexcept {
    frames_.handle_session();
    round_trip_.handle_session();
  }
  void handle_session_end() noexcept { deadline_ = never; }
  /// Numbers a frame: `handle_sent` tells of each message in it.
  std::uint64_t handle_frame(timestamp now) { return frames_.handle_sent(now); }
  void handle_sent(outbox_cache& cache, std::uint64_t s, timestamp now) const noexcept {
    cache.handle_sent(s, frames_.last(), now);
  }
  bool was_sent(std::uint64_t frame) const noexcept { return frame <= frames_.last(); }
  /// An ack echoes the frame. It comes before what the ack acknowledges.
  void handle_echo(std::uint64_t frame, timestamp now) noexcept {
    if (std::optional<timestamp> sent = frames_.handle_echo(frame)) round_trip_.sample(now - *sent);
  }
  /// The peer has stored the message.
  void handle_arrival(const outgoing_message& m) noexcept {
    assert(m.transmissions != 0 && was_sent(m.frame));
    if (m.transmissions > 1 && m.frame > frames_.echoed()) round_trip_.spurious_retransmission();
  }

  /// Marks the lost ones among the messages in transit. It ends at the first one that is not.
  void find(outbox_cache& cache, timestamp now) {
    deadline_ = never;
    duration patience = round_trip_.smoothed() + round_trip_.reordering();
    while (std::uint64_t s = cache.oldest_in_transit()) {
      const outgoing_message& m = cache.at(s);
      if (m.frame >= frames_.echoed()) return;
      timestamp lost_at = after(m.sent_at, patience);
      if (lost_at > now) {
        deadline_ = lost_at;
        return;
      }
      cache.mark_lost(s);
    }
  }
  /// When to look again.
  timestamp deadline() const noexcept { return deadline_; }

  bool invariants_hold() const noexcept {
    return frames_.invariants_hold() && round_trip_.invariants_hold();
  }

 private:
  frame_log frames_;
  round_trip round_trip_;
  timestamp deadline_ = never;
};

}  // namespace ilm::inline v0::protocol
