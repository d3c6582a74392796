#pragma once

// The engine and time: one timer for all deadlines.

#include <ilm/runtime/engine.hpp>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace ilm::runtime {

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::timer_loop(engine_pointer self) {
  lookout here(*self);
  while (!self->stopped_) {
    self->timer_at_ = self->next_deadline();
    self->timer_->expires_at(typename Clock::time_point(
        std::chrono::duration_cast<typename Clock::duration>(self->timer_at_)));
    std::error_code ignored;
    co_await self->timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    if (self->stopped_) break;
    self->handle_time();
  }
}

template <class Backend, class Network, class Delivery, class Clock>
protocol::timestamp engine<Backend, Network, Delivery, Clock>::next_deadline() const noexcept {
  return std::min({deadlines_.earliest(), throttle_.until(), shutdown_at_, closing_at_});
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::handle_time() {
  protocol::timestamp at = now();
  while (peer_type* p = deadlines_.take_due(at)) {
    p->core.handle_timeout(at);
    service(*p);
  }
  if (throttle_.expire(at)) commit_wake_.notify();
  if (closing_at_ <= at) closing_wake_.notify();
  check_drained();
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::pause(protocol::duration wait) {
  pause_until_ = Clock::now() + std::chrono::duration_cast<typename Clock::duration>(wait);
  while (!stopped_ && life_ == life::running && Clock::now() < pause_until_) {
    timer_->expires_at(pause_until_);
    std::error_code ignored;
    co_await timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

}  // namespace ilm::runtime
