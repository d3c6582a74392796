#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

namespace ilm {

/// How one peer stands. Counts are since the messenger was made.
template <class PeerId>
struct peer_statistics {
  peer_statistics() = default;

  PeerId peer{};
  bool connected = false;
  /// Messages not yet confirmed as delivered, and messages not yet taken by the application.
  std::uint64_t outbox_depth = 0;
  std::uint64_t inbox_depth = 0;
  /// How long the oldest message of the outbox has waited, as far as this messenger saw it wait.
  std::chrono::nanoseconds oldest_age{};
  /// Messages sent and not acknowledged as received.
  std::uint64_t in_flight = 0;
  /// The smoothed round trip, the peer's commit included; 0 before the first measurement.
  std::chrono::nanoseconds round_trip{};
  std::uint64_t accepted = 0;
  std::uint64_t delivered = 0;
  std::uint64_t received = 0;
  std::uint64_t resent = 0;
  std::uint64_t duplicates_dropped = 0;
  std::uint64_t frames_sent = 0;
  std::uint64_t frames_received = 0;
  /// Frames of an earlier session, dropped; and frames refused, each with an event.
  std::uint64_t frames_stale = 0;
  std::uint64_t frames_rejected = 0;
};

/// How a messenger stands.
template <class PeerId>
struct messenger_statistics {
  messenger_statistics() = default;

  std::vector<peer_statistics<PeerId>> peers;
  /// Batches the store took, and refused.
  std::uint64_t commits = 0;
  std::uint64_t commits_failed = 0;
  /// Sends and bytes that wait for the store.
  std::uint64_t uncommitted_messages = 0;
  std::uint64_t uncommitted_bytes = 0;
  std::uint64_t events_lost = 0;
};

/// What a shutdown left.
template <class PeerId>
struct shutdown_report {
  shutdown_report() = default;

  struct peer_counts {
    peer_counts() = default;
    PeerId peer{};
    std::uint64_t delivered = 0;
    std::uint64_t undelivered = 0;
    std::uint64_t unread = 0;
  };

  /// Messages whose delivery a peer confirmed since this messenger was made.
  std::uint64_t delivered = 0;
  /// Messages that stay in outboxes, durable, for the next messenger on the store.
  std::uint64_t undelivered = 0;
  /// Messages that stay in inboxes: received, and not taken by the application.
  std::uint64_t unread = 0;
  std::vector<peer_counts> peers;

  bool complete() const noexcept { return undelivered == 0; }
};

}  // namespace ilm
