#pragma once

#include <ilm/testing/simulated_clock.hpp>

#include <asio/awaitable.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include <chrono>

namespace test {

/// Completes when so much simulated time has passed; at once if that is none.
inline asio::awaitable<void> sleep_for(std::chrono::nanoseconds time) {
  if (time == std::chrono::nanoseconds::zero()) co_return;
  ilm::testing::simulated_timer timer(co_await asio::this_coro::executor, time);
  co_await timer.async_wait(asio::use_awaitable);
}

}  // namespace test
