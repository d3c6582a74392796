#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/runtime/ports.hpp>

#include <asio/redirect_error.hpp>

#include <cassert>
#include <chrono>
#include <memory>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// Any clock, and its timer.
template <class Clock>
class clock_adapter final : public clock_port {
 public:
  explicit clock_adapter(const asio::any_io_executor& executor)
      : timer_(std::make_unique<timer>(executor)) {}

  protocol::timestamp now() const noexcept override {
    return std::chrono::duration_cast<protocol::timestamp>(Clock::now().time_since_epoch());
  }

  asio::awaitable<void> wait_until(protocol::timestamp at) override {
    assert(timer_);
    timer_->expires_at(
        typename Clock::time_point(std::chrono::duration_cast<typename Clock::duration>(at)));
    return timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored_));
  }

  void wake() override {
    if (timer_) timer_->cancel();
  }
  void abandon() noexcept override { timer_.reset(); }

 private:
  using timer = typename timer_of<Clock>::type;

  /// No std::optional: to destroy the timer may destroy the coroutine that waits for it, whose
  /// frame abandons it again.
  std::unique_ptr<timer> timer_;
  std::error_code ignored_;
};

}  // namespace ilm::inline v0::runtime
