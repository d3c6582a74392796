#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/await_into.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/bind_executor.hpp>
#include <asio/steady_timer.hpp>

#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Resumes all coroutines that wait; each looks again at its own condition. Unlike an async_event
/// it keeps no flag, has any number of waiters, and leaves their ownership to Asio: a context that
/// is destroyed ends the waits.
class async_condition {
 public:
  explicit async_condition(asio::any_io_executor executor)
      : timer_(std::move(executor), clock::time_point::max()) {}

  /// Until notified, or until cancelled: then the next wait throws.
  asio::awaitable<void> wait() {
    // The queue of timers grows here if it has to, where a throw reaches the caller.
    if (!queued_) {
      timer_.async_wait(asio::bind_executor(asio::system_executor(), [](std::error_code) {}));
      queued_ = true;
    }
    std::error_code ignored;
    co_await timer_.async_wait(await_into(ignored));
  }

  /// As `wait`, but not beyond `deadline`. For an event on which one coroutine waits.
  asio::awaitable<void> wait_until(clock::time_point deadline) {
    queued_ = false;
    timer_.expires_at(deadline);
    return wait();
  }

  void notify_all() {
    queued_ = false;
    timer_.cancel();
  }

 private:
  asio::steady_timer timer_;
  bool queued_ = false;  ///< something waits for the timer
};

}  // namespace ilm::inline v0::detail::tcp
