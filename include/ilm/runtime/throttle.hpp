#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>

namespace ilm::runtime {

/// Holds commits back after one failed, with growing patience. A new send opens it at once: its
/// caller shall learn how the store is now, not how it was.
class throttle {
 public:
  bool open(protocol::timestamp now) const noexcept {
    return now >= until_ || until_ == protocol::never;
  }
  protocol::timestamp until() const noexcept { return until_; }

  /// True for the first failure in a row.
  bool fail(protocol::timestamp now, const options& o) noexcept {
    bool first = wait_ == protocol::duration::zero();
    wait_ = std::clamp(wait_ * 2, o.minimum_store_retry, o.maximum_store_retry);
    until_ = protocol::after(now, wait_);
    return first;
  }
  /// True if it failed before.
  bool succeed() noexcept {
    bool failed = wait_ != protocol::duration::zero();
    wait_ = {};
    until_ = protocol::never;
    return failed;
  }
  void release() noexcept { until_ = protocol::never; }
  /// True if the time of holding back is over.
  bool expire(protocol::timestamp now) noexcept {
    if (until_ > now) return false;
    release();
    return true;
  }

 private:
  protocol::duration wait_{};
  protocol::timestamp until_ = protocol::never;
};

}  // namespace ilm::runtime
