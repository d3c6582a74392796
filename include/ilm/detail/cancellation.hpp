#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/cancellation_state.hpp>

#include <system_error>

namespace ilm::inline v0::detail {

/// Throws operation_aborted in a coroutine that was cancelled. Called before it takes an event from
/// a queue: one that came in the turn of the cancellation stays there for the next caller.
inline void leave_if_cancelled(const asio::cancellation_state& state) {
  if (state.cancelled() != asio::cancellation_type::none) {
    throw std::system_error(asio::error::operation_aborted);
  }
}

}  // namespace ilm::inline v0::detail
