#pragma once

#include <ilm/detail/units.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/support.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace ilm::inline v0 {

/// Every bound and every time of a messenger, with defaults that suit a server on a network with
/// 0 to 200 ms round trip. Bounds are per peer unless they say otherwise.
struct options {
  using duration = std::chrono::nanoseconds;

  /// The largest contents that send_to accepts, in bytes, up to 1 GiB. The network's
  /// maximum_frame_size may lower it: a message travels in one frame.
  std::size_t maximum_message_size = 1 << 20;

  /// Whether each message carries the time of the system's clock when send_to was called, as
  /// ilm::attributes::sent_at, unless send_options has one. It takes 10 bytes.
  bool stamp_sent_at = false;

  /// How much may be in flight to a peer, sent and not yet acknowledged as received.
  std::size_t window_messages = 8192;
  std::size_t window_bytes = 4 << 20;

  /// How much a peer may have sent here that the application has not consumed.
  std::size_t credit_messages = 8192;
  std::size_t credit_bytes = 4 << 20;

  /// How much may wait for the store, over all peers; a send_to beyond it waits.
  std::size_t uncommitted_messages = 8192;
  std::size_t uncommitted_bytes = 8 << 20;

  /// How much memory messages may take over all peers, in bytes, besides those that wait for the
  /// store: received and not yet consumed, in flight, or read to be sent. 0: no limit. Beyond it,
  /// messages that the store has leave memory, of the peers that have most, and are read again when
  /// they are needed. At least four times `maximum_message_size`.
  std::size_t memory_limit = 256 << 20;

  /// How many messages an outbox may hold before send_to fails with error::outbox_full; 0: no
  /// limit.
  std::uint64_t outbox_limit = 0;

  /// How many bytes of small messages are gathered into one frame.
  std::size_t frame_fill = 64 << 10;

  /// How many messages and bytes are read from the store at a time.
  std::size_t page_messages = 1024;
  std::size_t page_bytes = 256 << 10;

  /// Whether frames carry a CRC-32C. A frame that has one is always checked.
  bool checksum = true;

  /// The retransmission timeout before a round trip was measured, and its bounds (RFC 6298).
  duration initial_timeout = std::chrono::milliseconds(250);
  duration minimum_timeout = std::chrono::milliseconds(20);
  duration maximum_timeout = std::chrono::seconds(5);

  /// A peer that is silent for `keepalive_interval` is pinged, and its session ends after
  /// `keepalive_timeout` of silence. An interval of 0 turns both off.
  duration keepalive_interval = std::chrono::seconds(5);
  duration keepalive_timeout = std::chrono::seconds(16);

  /// How long a confirmation may wait for another commit to carry it before it gets its own.
  duration cursor_commit_delay = std::chrono::milliseconds(5);

  /// The bounds of the backoff after a delivery that failed.
  duration minimum_redelivery_delay = std::chrono::milliseconds(10);
  duration maximum_redelivery_delay = std::chrono::seconds(5);

  /// The bounds of the backoff after an operation of the store that failed.
  duration minimum_store_retry = std::chrono::milliseconds(20);
  duration maximum_store_retry = std::chrono::seconds(2);

  /// How many events wait to be read, over all peers; beyond it the least important are dropped and
  /// counted. Those that tell of lost messages or a broken store have places beside it.
  std::size_t event_limit = 1024;

  /// The versions and features of the protocol that peers are told of: all that this build knows.
  /// Tests narrow or widen it.
  protocol::protocol_support support = {};

  /// Makes every random choice repeatable, for tests. Never set it in production: two messengers
  /// with one seed draw the same nonces, stamps and salts.
  std::optional<std::uint64_t> seed = std::nullopt;
};

/// The smallest frame that a network may offer, in bytes.
inline constexpr std::size_t minimum_frame_size = 1024;

namespace detail {

inline std::string bound_error(const options& o) {
  struct bound {
    const char* name;
    std::uint64_t value;
  };
  for (bound b :
       {bound{"window_messages", o.window_messages}, bound{"credit_messages", o.credit_messages},
        bound{"uncommitted_messages", o.uncommitted_messages},
        bound{"page_messages", o.page_messages}, bound{"page_bytes", o.page_bytes},
        bound{"frame_fill", o.frame_fill}, bound{"event_limit", o.event_limit}}) {
    if (b.value == 0) return std::string(b.name) + " is 0; nothing could move";
  }
  if (o.maximum_message_size == 0) return "maximum_message_size is 0; nothing could be sent";
  if (o.maximum_message_size > protocol::largest_frame) {
    return "maximum_message_size (" + readable_size(o.maximum_message_size) + ") exceeds " +
           readable_size(protocol::largest_frame) + ", the most that a frame carries";
  }
  for (bound b : {bound{"window_bytes", o.window_bytes}, bound{"credit_bytes", o.credit_bytes},
                  bound{"uncommitted_bytes", o.uncommitted_bytes}}) {
    if (b.value < o.maximum_message_size) {
      return std::string(b.name) + " (" + readable_size(b.value) +
             ") is less than maximum_message_size (" + readable_size(o.maximum_message_size) +
             "); one message must fit";
    }
  }
  // A quarter of it is for messages that the store does not have: one must fit.
  if (o.memory_limit != 0 && o.memory_limit / 4 < o.maximum_message_size) {
    return "memory_limit (" + readable_size(o.memory_limit) +
           ") is less than four times maximum_message_size (" +
           readable_size(o.maximum_message_size) + "); raise it, or set it to 0 for no limit";
  }
  if (!o.support.valid()) {
    return "support has no versions, or requires a feature that it does not understand";
  }
  for (bound b :
       {bound{"window_messages", o.window_messages}, bound{"credit_messages", o.credit_messages}}) {
    if (b.value <= protocol::maximum_credit_messages) continue;
    return std::string(b.name) + " (" + std::to_string(b.value) +
           ") exceeds 2^30, the most that a peer accepts";
  }
  for (bound b : {bound{"window_bytes", o.window_bytes}, bound{"credit_bytes", o.credit_bytes}}) {
    if (b.value <= protocol::maximum_credit_bytes) continue;
    return std::string(b.name) + " (" + readable_size(b.value) +
           ") exceeds 2^46 bytes (64 TiB), the most that a peer accepts";
  }
  return {};
}

inline std::string backoff_error(const options& o) {
  struct time {
    const char* name;
    options::duration value;
  };
  struct order {
    time low, high;
  };
  time initial{"initial_timeout", o.initial_timeout};
  for (const order& pair : {order{{"minimum_timeout", o.minimum_timeout}, initial},
                            order{initial, {"maximum_timeout", o.maximum_timeout}},
                            order{{"minimum_redelivery_delay", o.minimum_redelivery_delay},
                                  {"maximum_redelivery_delay", o.maximum_redelivery_delay}},
                            order{{"minimum_store_retry", o.minimum_store_retry},
                                  {"maximum_store_retry", o.maximum_store_retry}}}) {
    const auto& [low, high] = pair;
    if (low.value <= options::duration::zero()) {
      return std::string(low.name) + " (" + readable_time(low.value) + ") is not above 0";
    }
    if (high.value < low.value) {
      return std::string(high.name) + " (" + readable_time(high.value) + ") is less than " +
             low.name + " (" + readable_time(low.value) + ")";
    }
  }
  return {};
}

inline std::string keepalive_error(const options& o) {
  if (o.keepalive_interval < options::duration::zero()) {
    return "keepalive_interval (" + readable_time(o.keepalive_interval) + ") is negative";
  }
  if (o.keepalive_interval > options::duration::zero() &&
      o.keepalive_timeout <= o.keepalive_interval) {
    return "keepalive_timeout (" + readable_time(o.keepalive_timeout) +
           ") is not above keepalive_interval (" + readable_time(o.keepalive_interval) +
           "); a live peer would be given up";
  }
  return {};
}

}  // namespace detail

/// Names options that contradict one another, or a network with frames of `frame_size` bytes;
/// empty if none do.
inline std::string validation_error(const options& o, std::size_t frame_size) {
  if (frame_size < minimum_frame_size) {
    return "the network's maximum_frame_size (" + detail::readable_size(frame_size) +
           ") is less than the " + detail::readable_size(minimum_frame_size) + " that ILM needs";
  }
  if (std::string error = detail::bound_error(o); !error.empty()) return error;
  if (std::string error = detail::backoff_error(o); !error.empty()) return error;
  if (o.cursor_commit_delay < options::duration::zero()) {
    return "cursor_commit_delay (" + detail::readable_time(o.cursor_commit_delay) + ") is negative";
  }
  return detail::keepalive_error(o);
}

}  // namespace ilm::inline v0
