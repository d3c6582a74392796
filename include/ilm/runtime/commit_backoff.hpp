#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>

namespace ilm::inline v0::runtime {

/// Holds commits back after one that failed, longer each time. A new send opens it at once: its
/// caller shall learn how the store is now, not how it was.
class commit_backoff {
 public:
  bool open(protocol::timestamp now) const noexcept {
    return now >= until_ || until_ == protocol::never;
  }
  protocol::timestamp until() const noexcept { return until_; }

  /// True for the first failure in a row.
  bool handle_failed(protocol::timestamp now, const options& o) noexcept {
    bool first = wait_ == protocol::duration::zero();
    wait_ = std::clamp(protocol::doubled(wait_), o.minimum_store_retry, o.maximum_store_retry);
    until_ = protocol::after(now, wait_);
    assert(invariants_hold());
    return first;
  }
  /// True if the commit before it failed.
  bool handle_committed() noexcept {
    bool failed = wait_ != protocol::duration::zero();
    wait_ = {};
    until_ = protocol::never;
    return failed;
  }
  void handle_send() noexcept { until_ = protocol::never; }
  /// True if the time of holding back is over.
  bool handle_time(protocol::timestamp now) noexcept {
    if (until_ > now) return false;
    until_ = protocol::never;
    assert(invariants_hold());
    return true;
  }

 private:
  /// Nothing is held back that did not fail before.
  bool invariants_hold() const noexcept {
    return wait_ >= protocol::duration::zero() &&
           (until_ == protocol::never || wait_ > protocol::duration::zero());
  }

  protocol::duration wait_{};
  protocol::timestamp until_ = protocol::never;
};

}  // namespace ilm::inline v0::runtime
