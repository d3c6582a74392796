#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>

namespace ilm::inline v0::protocol {

/// The retransmission timeout by RFC 6298, section 2, with exponential backoff (5.5) and jitter.
/// The backoff lasts until a round trip is measured (5.7), and that of probes until something
/// moves: an answer to a probe alone tells nothing that would call for the next one sooner.
class round_trip {
 public:
  explicit round_trip(const options& o) noexcept
      : minimum_(o.minimum_timeout), maximum_(o.maximum_timeout), timeout_(o.initial_timeout) {}

  void handle_session() noexcept { backoff_ = probes_ = 0; }
  void sample(duration rtt) noexcept {
    assert(rtt >= duration::zero());
    backoff_ = 0;
    if (smoothed_ == duration::zero()) {
      smoothed_ = rtt;
      variance_ = rtt / 2;
    } else {
      duration off = smoothed_ > rtt ? smoothed_ - rtt : rtt - smoothed_;
      variance_ = (variance_ * 3 + off) / 4;
      smoothed_ = (smoothed_ * 7 + rtt) / 8;
    }
    timeout_ = std::clamp(smoothed_ + variance_ * 4, minimum_, maximum_);
  }

  /// The timeout passed, and messages are sent again.
  void back_off() noexcept { backoff_ = std::min(backoff_ + 1, maximum_timeout_doublings); }
  /// The timeout passed with nothing to send again: a ping asks for an ack.
  void probe() noexcept { probes_ = std::min(probes_ + 1, maximum_timeout_doublings); }
  void progress() noexcept { probes_ = 0; }

  duration timeout(random_source& random) const noexcept {
    duration wait = timeout_;
    unsigned doublings = std::min(backoff_ + probes_, maximum_timeout_doublings);
    for (; doublings > 0 && wait < maximum_; --doublings) wait = doubled(wait);
    return random.jitter(std::min(wait, maximum_));
  }

  /// How long after a later frame's acknowledgement a frame may still be under way: a quarter of a
  /// round trip, at least a millisecond, and up to a whole one where retransmissions were needless
  /// (RFC 8985, section 6.2).
  duration reordering() const noexcept {
    return std::max<duration>(smoothed_ * quarters_ / 4, std::chrono::milliseconds(1));
  }
  /// A message sent again was acknowledged though the frame of its retransmission had not arrived.
  void spurious_retransmission() noexcept { quarters_ = std::min(quarters_ + 1, 4); }
  duration smoothed() const noexcept { return smoothed_; }

  bool invariants_hold() const noexcept {
    return timeout_ > duration::zero() && smoothed_ >= duration::zero() &&
           variance_ >= duration::zero() && backoff_ <= maximum_timeout_doublings &&
           probes_ <= maximum_timeout_doublings && quarters_ >= 1 && quarters_ <= 4;
  }

 private:
  duration minimum_, maximum_, timeout_;
  duration smoothed_{}, variance_{};
  unsigned backoff_ = 0;
  unsigned probes_ = 0;
  int quarters_ = 1;
};

}  // namespace ilm::inline v0::protocol
