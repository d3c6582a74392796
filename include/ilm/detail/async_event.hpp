#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>

#include <cassert>
#include <exception>
#include <utility>

namespace ilm::inline v0::detail {

/// A flag that one coroutine waits for. All members run on one strand. The event owns the coroutine
/// that waits: a context that is destroyed does not end the wait, `abandon` does.
class async_event {
 public:
  explicit async_event(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  async_event(const async_event&) = delete;
  async_event& operator=(const async_event&) = delete;

  /// Completes when `notify` was called since the last wait; at once if it already was. Throws
  /// where there is no memory to wait.
  asio::awaitable<void> wait() {
    assert(!waiter_);
    if (!notified_) {
      co_await asio::async_initiate<const asio::use_awaitable_t<>&, void()>(initiate{this},
                                                                            asio::use_awaitable);
      if (failed_) std::rethrow_exception(std::exchange(failed_, nullptr));
    }
    notified_ = false;
  }

  void notify() {
    notified_ = true;
    if (waiter_) waiter_();
  }

  /// Destroys the coroutine that waits, if any.
  void abandon() { completion<> gone = std::move(waiter_); }

 private:
  struct initiate {
    async_event* self;
    template <class Handler>
    void operator()(Handler&& handler) const {
      // What an initiation throws does not reach the coroutine that waits.
      try {
        self->waiter_ = completion<>(std::forward<Handler>(handler), self->executor_);
      } catch (...) {
        self->failed_ = std::current_exception();
        asio::post(self->executor_, std::forward<Handler>(handler));
      }
    }
  };

  asio::any_io_executor executor_;
  completion<> waiter_;
  std::exception_ptr failed_;  ///< of a wait that could not begin
  bool notified_ = false;
};

}  // namespace ilm::inline v0::detail
