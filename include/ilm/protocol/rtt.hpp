#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>

namespace ilm::protocol {

/// The retransmission timeout by RFC 6298, section 2, with exponential backoff (5.5) and jitter.
class round_trip {
 public:
  explicit round_trip(const options& o) noexcept
      : minimum_(o.minimum_timeout), maximum_(o.maximum_timeout), timeout_(o.initial_timeout) {}

  void sample(duration rtt) noexcept {
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

  void back_off() noexcept { backoff_ = std::min(backoff_ + 1, 16); }
  void progress() noexcept { backoff_ = 0; }

  duration timeout(random_source& random) const noexcept {
    return random.jitter(std::min(timeout_ * (1 << backoff_), maximum_));
  }

  /// How long after a later frame's acknowledgement a frame may still be under way: a quarter of a
  /// round trip (RFC 8985, section 6.2), at least a millisecond.
  duration reordering() const noexcept {
    return std::max<duration>(smoothed_ / 4, std::chrono::milliseconds(1));
  }
  duration smoothed() const noexcept { return smoothed_; }

 private:
  duration minimum_, maximum_, timeout_;
  duration smoothed_{}, variance_{};
  int backoff_ = 0;
};

}  // namespace ilm::protocol
