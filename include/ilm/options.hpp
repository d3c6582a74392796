#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace ilm {

/// Every bound and every time of a messenger, with defaults that suit a server on a network with
/// 0 to 200 ms round trip. Bounds are per peer unless they say otherwise.
struct options {
  using duration = std::chrono::nanoseconds;

  /// The largest contents that send_to accepts, in bytes. The network's maximum_frame_size may
  /// lower it: a message travels in one frame.
  std::size_t maximum_message_size = 1 << 20;

  /// How much may be in flight to a peer, sent and not yet acknowledged as received.
  std::size_t window_messages = 8192;
  std::size_t window_bytes = 4 << 20;

  /// How much a peer may have sent here that the application has not taken.
  std::size_t credit_messages = 8192;
  std::size_t credit_bytes = 4 << 20;

  /// How much may wait for the store, over all peers; a send_to beyond it waits.
  std::size_t uncommitted_messages = 8192;
  std::size_t uncommitted_bytes = 8 << 20;

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

  /// A peer from which nothing was heard for `keepalive_interval` is pinged, and its session ends
  /// after `keepalive_timeout` of silence. An interval of 0 turns both off.
  duration keepalive_interval = std::chrono::seconds(5);
  duration keepalive_timeout = std::chrono::seconds(16);

  /// How long a confirmation may wait to ride on another commit before it gets one of its own.
  duration settle_delay = std::chrono::milliseconds(5);

  /// The bounds of the backoff after a delivery that failed.
  duration minimum_redelivery_delay = std::chrono::milliseconds(10);
  duration maximum_redelivery_delay = std::chrono::seconds(5);

  /// The bounds of the backoff after an operation of the store that failed.
  duration minimum_store_retry = std::chrono::milliseconds(20);
  duration maximum_store_retry = std::chrono::seconds(2);

  /// How many events wait to be read, over all peers; beyond it the oldest are dropped and counted.
  std::size_t event_limit = 1024;

  /// Makes every random choice repeatable, for tests. Never set it in production: two messengers
  /// with one seed mint the same incarnation.
  std::optional<std::uint64_t> seed;
};

/// The least frame that a network may offer, in bytes.
inline constexpr std::size_t minimum_frame_size = 1024;

/// What is wrong with `o` for a network whose frames hold `frame_size` bytes; empty if nothing is.
inline std::string contradiction(const options& o, std::size_t frame_size) {
  auto less = [](const char* a, auto x, const char* b, auto y) {
    return std::string(a) + " (" + std::to_string(x) + ") is less than " + b + " (" +
           std::to_string(y) + ")";
  };
  auto nanoseconds = [](options::duration d) { return std::to_string(d.count()) + " ns"; };
  struct bound {
    const char* name;
    std::size_t value;
  };
  for (bound b :
       {bound{"window_messages", o.window_messages}, bound{"credit_messages", o.credit_messages},
        bound{"uncommitted_messages", o.uncommitted_messages},
        bound{"page_messages", o.page_messages}, bound{"page_bytes", o.page_bytes},
        bound{"frame_fill", o.frame_fill}, bound{"event_limit", o.event_limit}}) {
    if (b.value == 0) return std::string(b.name) + " is 0; nothing could move";
  }
  if (frame_size < minimum_frame_size) {
    return less("the network's maximum_frame_size", frame_size, "the least that ILM needs",
                minimum_frame_size);
  }
  for (bound b : {bound{"window_bytes", o.window_bytes}, bound{"credit_bytes", o.credit_bytes},
                  bound{"uncommitted_bytes", o.uncommitted_bytes}}) {
    if (b.value < o.maximum_message_size) {
      return less(b.name, b.value, "maximum_message_size", o.maximum_message_size) +
             "; one message must fit";
    }
  }
  if (o.credit_messages > 0x4000'0000 || o.credit_bytes > 0x4000'0000'0000) {
    return "credit_messages exceeds 2^30 or credit_bytes exceeds 2^46, more than a peer believes";
  }
  struct span {
    const char* name;
    options::duration low, high;
  };
  for (span s :
       {span{"the initial timeout below its minimum:", o.minimum_timeout, o.initial_timeout},
        span{"the maximum timeout below the initial one:", o.initial_timeout, o.maximum_timeout},
        span{"the maximum redelivery delay below its minimum:", o.minimum_redelivery_delay,
             o.maximum_redelivery_delay},
        span{"the maximum store retry below its minimum:", o.minimum_store_retry,
             o.maximum_store_retry}}) {
    if (s.low <= options::duration::zero()) return "a minimum time is not above 0";
    if (s.high < s.low) {
      return std::string(s.name) + " " + nanoseconds(s.high) + " < " + nanoseconds(s.low);
    }
  }
  if (o.settle_delay < options::duration::zero()) return "settle_delay is negative";
  if (o.keepalive_interval < options::duration::zero()) return "keepalive_interval is negative";
  if (o.keepalive_interval > options::duration::zero() &&
      o.keepalive_timeout <= o.keepalive_interval) {
    return "keepalive_timeout (" + nanoseconds(o.keepalive_timeout) +
           ") is not above keepalive_interval (" + nanoseconds(o.keepalive_interval) +
           "); a live peer would be given up";
  }
  return {};
}

}  // namespace ilm
