#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Anybody can be refused any number of times: `refusal_burst` refusals are reported at once, and
/// then one an interval, which doubles each time. After a calm it begins anew.
class refusal_limit {
 public:
  /// Whether a refusal at `now` is reported.
  bool allow(clock::time_point now) {
    assert(now >= last_);
    if (now - last_ >= std::max<clock::duration>(refusal_calm, interval_)) {
      interval_ = minimum_refusal_interval;
      left_ = refusal_burst;
    }
    last_ = now;
    if (left_ != 0) {
      --left_;
      next_ = now + interval_;
    } else if (now >= next_) {
      interval_ = std::min<clock::duration>(2 * interval_, maximum_refusal_interval);
      next_ = now + interval_;
    } else {
      ++unreported_;
      return false;
    }
    return true;
  }

  /// One that was allowed could not be reported all the same.
  void handle_no_report() noexcept { ++unreported_; }

  /// How many refusals were not reported since the last one that was.
  std::uint64_t take_unreported() noexcept { return std::exchange(unreported_, 0); }

 private:
  clock::time_point last_{};
  clock::time_point next_{};
  clock::duration interval_ = minimum_refusal_interval;
  std::uint64_t unreported_ = 0;
  unsigned left_ = refusal_burst;
};

}  // namespace ilm::inline v0::detail::tcp
