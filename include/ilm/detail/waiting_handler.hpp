#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>

#include <memory>
#include <utility>

namespace ilm::inline v0::detail {

/// A completion handler of any type that runs once, on its own executor, and never from inside the
/// call that posts it. Keeps that executor's context at work until then.
class waiting_handler {
 public:
  /// One that is never posted.
  waiting_handler() = default;
  explicit waiting_handler(const asio::any_io_executor& own)
      : executor_(never_blocking(asio::prefer(own, asio::execution::outstanding_work.tracked))) {}
  waiting_handler(const waiting_handler&) = delete;
  waiting_handler& operator=(const waiting_handler&) = delete;
  virtual ~waiting_handler() = default;

  const asio::any_io_executor& executor() const noexcept { return executor_; }
  /// Whether both have the same executor.
  bool goes_with(const waiting_handler& other) const noexcept {
    return executor_ == other.executor_;
  }

  /// Calls the handler with its result. `self` holds this.
  virtual void run(std::shared_ptr<waiting_handler> self) = 0;

  /// The executor to post by: `execute` then does what asio::post does, at half of its cost.
  static asio::any_io_executor never_blocking(const asio::any_io_executor& e) {
    return asio::require(e, asio::execution::blocking.never);
  }

 private:
  asio::any_io_executor executor_;
};

/// Has the executor of `h` run it. Where it throws, the handler is as it was.
ILM_INLINE void post(const std::shared_ptr<waiting_handler>& h);

}  // namespace ilm::inline v0::detail

#ifndef ILM_COMPILED
#include <ilm/detail/post.hpp>
#endif
