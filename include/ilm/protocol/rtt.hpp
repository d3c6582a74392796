#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>

namespace ilm::inline v0::protocol {

/// The retransmission timeout by RFC 6298, section 2, with exponential backoff (5.5) and jitter.
class round_trip {
 public:
  explicit round_trip(const options& o) noexcept
      : minimum_(o.minimum_timeout), maximum_(o.maximum_timeout), timeout_(o.initial_timeout) {}

  void sample(duration rtt) noexcept {
    assert(rtt >= duration::zero());
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

  void back_off() noexcept { backoff_ = std::min(backoff_ + 1, maximum_timeout_doublings); }
  void progress() noexcept { backoff_ = 0; }

  duration timeout(random_source& random) const noexcept {
    return random.jitter(std::min(timeout_ * (1U << backoff_), maximum_));
  }

  /// How long after a later frame's acknowledgement a frame may still be under way: a quarter of a
  /// round trip, at least a millisecond, and up to a whole one where repairs turned out needless
  /// (RFC 8985, section 6.2).
  duration reordering() const noexcept {
    return std::max<duration>(smoothed_ * quarters_ / 4, std::chrono::milliseconds(1));
  }
  /// A repair was acknowledged too soon to have been the cause of it.
  void spurious_retransmission() noexcept { quarters_ = std::min(quarters_ + 1, 4); }
  /// Whether a message sent `ago` can have been acknowledged.
  bool plausible(duration ago) const noexcept { return ago >= smoothed_ / 2; }
  duration smoothed() const noexcept { return smoothed_; }

  bool invariants_hold() const noexcept {
    return timeout_ > duration::zero() && smoothed_ >= duration::zero() &&
           variance_ >= duration::zero() && backoff_ <= maximum_timeout_doublings &&
           quarters_ >= 1 && quarters_ <= 4;
  }

 private:
  duration minimum_, maximum_, timeout_;
  duration smoothed_{}, variance_{};
  unsigned backoff_ = 0;
  int quarters_ = 1;
};

}  // namespace ilm::inline v0::protocol
