#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// How one peer stands. Counts are since the messenger was made.
struct peer_figures {
  peer_figures() = default;

  bool connected = false;
  /// Messages not yet confirmed as delivered, and messages not yet consumed by the application.
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

template <class PeerId>
struct peer_statistics : peer_figures {
  peer_statistics() = default;
  peer_statistics(PeerId id, const peer_figures& figures)
      : peer_figures(figures), peer(std::move(id)) {}

  PeerId peer{};
};

/// How a messenger stands as a whole.
struct messenger_totals {
  messenger_totals() = default;

  /// Batches the store accepted, and refused.
  std::uint64_t commits = 0;
  std::uint64_t commits_failed = 0;
  /// Sends and bytes that wait for the store.
  std::uint64_t uncommitted_messages = 0;
  std::uint64_t uncommitted_bytes = 0;
  /// Bytes that messages take in memory over all peers, besides those: see options::memory_limit.
  std::uint64_t held_bytes = 0;
  std::uint64_t events_lost = 0;
};

template <class PeerId>
struct messenger_statistics : messenger_totals {
  messenger_statistics() = default;
  explicit messenger_statistics(const messenger_totals& totals) : messenger_totals(totals) {}

  /// In the order of their ids.
  std::vector<peer_statistics<PeerId>> peers;
};

/// The messages that a shutdown left, of one peer or of all.
struct shutdown_counts {
  shutdown_counts() = default;

  /// Messages whose delivery the peer confirmed since this messenger was made.
  std::uint64_t delivered = 0;
  /// Messages that stay in the outbox, durable, for the next messenger on the store.
  std::uint64_t undelivered = 0;
  /// Messages that stay in the inbox: received, and not consumed by the application.
  std::uint64_t unread = 0;
  /// Of these, messages that a handler has which goes on although it was cancelled. The store stays
  /// in use until it ends, and then records what it consumed; see messenger_handle::shutdown.
  std::uint64_t running = 0;
};

/// What was kept of a peer that was forgotten.
struct forget_report {
  forget_report() = default;

  /// Messages to the peer that it had not confirmed as delivered, and messages from it that the
  /// application had not consumed, of its former streams too.
  std::uint64_t undelivered = 0;
  std::uint64_t unread = 0;
};

/// The result of a shutdown.
template <class PeerId>
struct shutdown_report : shutdown_counts {
  shutdown_report() = default;
  explicit shutdown_report(const shutdown_counts& totals) : shutdown_counts(totals) {}

  struct peer_counts : shutdown_counts {
    peer_counts() = default;
    peer_counts(PeerId id, const shutdown_counts& counts)
        : shutdown_counts(counts), peer(std::move(id)) {}

    PeerId peer{};
  };

  /// In the order of their ids.
  std::vector<peer_counts> peers;

  bool complete() const noexcept { return undelivered == 0; }
};

}  // namespace ilm::inline v0
