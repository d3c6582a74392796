#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>

namespace ilm::inline v0::detail::tcp {

/// Anybody can be refused any number of times: `refusal_burst` refusals are reported at once, and
/// then one a `refusal_interval`.
class refusal_limit {
 public:
  explicit refusal_limit(clock::time_point now) : counted_at_(now) {}

  /// Whether a refusal at `now` is reported.
  bool allow(clock::time_point now) {
    assert(now >= counted_at_);
    auto regained = (now - counted_at_) / refusal_interval;
    if (regained > 0) {
      auto most = static_cast<decltype(regained)>(refusal_burst);
      left_ =
          static_cast<unsigned>(std::min(most, static_cast<decltype(regained)>(left_) + regained));
      counted_at_ = now;
    }
    if (left_ == 0) return false;
    --left_;
    return true;
  }

 private:
  clock::time_point counted_at_;
  unsigned left_ = refusal_burst;
};

}  // namespace ilm::inline v0::detail::tcp
