#pragma once

#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <random>

namespace ilm::inline v0::detail::tcp {

/// How long to wait before a peer is dialed again: twice as long after each failure.
class redial_delay {
 public:
  redial_delay(tcp_options::duration minimum, tcp_options::duration maximum)
      : minimum_(minimum), maximum_(maximum) {}

  /// The wait after one more failure, or after the end of a session: drawn between half of the
  /// delay and all of it.
  template <class Random>
  tcp_options::duration grow(Random& random) {
    delay_ = std::clamp(delay_ + std::min(delay_, maximum_ - delay_), minimum_, maximum_);
    std::uniform_int_distribution<tcp_options::duration::rep> drawn(delay_.count() / 2,
                                                                    delay_.count());
    return tcp_options::duration(drawn(random));
  }

  /// A session that ends as soon as it began does not show that all is well.
  void handle_session_ended(clock::duration lasted) noexcept {
    if (lasted >= delay_) reset();
  }

  void reset() noexcept { delay_ = {}; }

 private:
  tcp_options::duration minimum_;
  tcp_options::duration maximum_;
  tcp_options::duration delay_{};
};

}  // namespace ilm::inline v0::detail::tcp
