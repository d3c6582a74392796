#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace ilm::inline v0::detail::tcp {

/// The failures of the system to accept connections, such as too many open files: reported when
/// they begin and when they are over. One that follows within `accept_calm` belongs to the same
/// series.
class accept_failures {
 public:
  bool lasting() const noexcept { return count_ != 0; }
  /// How long to wait before the next try.
  clock::duration pause() const noexcept { return pause_; }
  /// When the series is over, unless there is another failure.
  clock::time_point over_at() const noexcept { return last_ + accept_calm; }

  /// Whether the series begins, which is to be reported.
  bool handle_failure(clock::time_point now) {
    assert(!lasting() || now >= last_);
    pause_ = std::clamp<clock::duration>(2 * pause_, minimum_accept_pause, maximum_accept_pause);
    if (!lasting()) first_ = now;
    last_ = now;
    return ++count_ == 1;
  }

  void handle_success() noexcept { pause_ = {}; }

  /// Ends the series if it is over; then the text to report.
  std::optional<std::string> poll_end(clock::time_point now) {
    if (!lasting() || now < over_at()) return std::nullopt;
    auto lasted = std::chrono::duration_cast<std::chrono::milliseconds>(last_ - first_);
    std::string text = "connections are accepted again, after " + std::to_string(count_) +
                       (count_ == 1 ? " failure in " : " failures in ") +
                       std::to_string(lasted.count()) + " ms";
    count_ = 0;
    pause_ = {};
    return text;
  }

 private:
  std::uint64_t count_ = 0;  ///< of the series
  clock::time_point first_{};
  clock::time_point last_{};
  clock::duration pause_{};
};

}  // namespace ilm::inline v0::detail::tcp
