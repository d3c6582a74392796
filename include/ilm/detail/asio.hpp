#pragma once

// The one place that knows which Asio this is. Its names differ between 1.22 and today.

#include <ilm/detail/co_await.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/basic_waitable_timer.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/error.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/post.hpp>
#include <asio/prefer.hpp>
#include <asio/strand.hpp>
#include <asio/system_executor.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/version.hpp>

#if ASIO_VERSION < 102200
#error "ILM needs Asio 1.22 or later"
#endif

namespace ilm::inline v0 {

/// The waitable timer of a clock. Specialise it for a clock that Asio's timers cannot follow.
template <class Clock>
struct timer_of {
  using type = asio::basic_waitable_timer<Clock>;
};

}  // namespace ilm::inline v0
