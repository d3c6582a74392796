#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <system_error>
#include <utility>

namespace ilm::detail::tcp {

using clock = std::chrono::steady_clock;

/// Wakes who waits for it, for whatever reason: they look again at what they waited for. Nothing
/// but Asio owns the coroutine that waits, so that a context can be destroyed with it.
class bell {
 public:
  explicit bell(asio::any_io_executor executor)
      : timer_(std::move(executor), clock::time_point::max()) {}

  /// Until it rings, or until cancelled: then the next wait throws.
  asio::awaitable<void> wait() {
    std::error_code ignored;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }

  /// As `wait`, but not beyond `at`. For a bell on which one coroutine waits.
  asio::awaitable<void> wait_until(clock::time_point at) {
    timer_.expires_at(at);
    return wait();
  }

  void ring() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

}  // namespace ilm::detail::tcp
