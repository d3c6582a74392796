#pragma once

#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>

namespace ilm::inline v0::protocol {

/// One piece of work that somebody else does, one at a time: given out, then done or failed. After
/// a failure it waits, each time twice as long, between two bounds.
class retry {
 public:
  retry(duration shortest, duration longest) noexcept : shortest_(shortest), longest_(longest) {
    assert(shortest > duration::zero() && shortest <= longest);
  }

  /// Whether the work may be given out now.
  bool ready(timestamp now) const noexcept { return ready_at_ <= now; }
  bool outstanding() const noexcept { return ready_at_ == never; }
  /// Whether it is as one that was never given out.
  bool at_rest() const noexcept { return ready_at_ == since_ever && wait_ == duration::zero(); }
  void handle_given() noexcept {
    assert(!outstanding());
    ready_at_ = never;
  }
  void handle_done() noexcept {
    assert(outstanding());
    ready_at_ = since_ever;
    wait_ = {};
  }
  void handle_failed(timestamp now) noexcept { handle_failed(now, wait_); }
  /// Likewise, where the wait before it was `last`.
  void handle_failed(timestamp now, duration last) noexcept {
    assert(outstanding());
    wait_ = std::clamp(doubled(last), shortest_, longest_);
    ready_at_ = after(now, wait_);
  }
  /// It waits until then, and the next failure as if there had been none.
  void handle_postponed(timestamp until) noexcept {
    assert(outstanding() && until != never);
    wait_ = {};
    ready_at_ = until;
  }
  /// The last wait, if there was no success since.
  duration wait() const noexcept { return wait_; }
  /// If the wait is over, `deadline` does not name its end again.
  void handle_timeout(timestamp now) noexcept {
    if (ready(now)) ready_at_ = since_ever;
  }
  timestamp deadline() const noexcept { return ready_at_ == since_ever ? never : ready_at_; }

  bool invariants_hold() const noexcept {
    return wait_ == duration::zero() || (wait_ >= shortest_ && wait_ <= longest_);
  }

 private:
  static constexpr timestamp since_ever = timestamp::min();

  duration shortest_, longest_;
  duration wait_{};
  timestamp ready_at_ = since_ever;  ///< `never` while it is given out
};

}  // namespace ilm::inline v0::protocol
