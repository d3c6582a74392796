#pragma once

#include <ilm/detail/asio.hpp>

#include <cassert>
#include <exception>
#include <functional>
#include <memory>
#include <utility>

namespace ilm::inline v0::detail {

/// Catches the exceptions that no part of a messenger, or of a network, accounts for: of a peer id
/// that cannot be copied or compared, say, or of memory that ran out. They leave a state that is
/// not to be trusted, so that the whole ends with them. Every coroutine and every handler on the
/// strand runs under it; none is left to end in silence, or to throw into the context.
class failure_guard {
 public:
  using handler = std::function<void(const std::exception_ptr&)>;

  /// `fail` ends the whole, and throws nothing.
  explicit failure_guard(handler fail) : fail_(std::move(fail)) { assert(fail_); }
  failure_guard(const failure_guard&) = delete;
  failure_guard& operator=(const failure_guard&) = delete;

  void fail(const std::exception_ptr& thrown) const noexcept {
    assert(thrown);
    fail_(thrown);
  }

  template <class Function>
  void run(Function&& function) const noexcept {
    try {
      std::forward<Function>(function)();
    } catch (...) {
      fail_(std::current_exception());
    }
  }

  /// `function(Owner&)` as a handler for the strand. The guard is a part of the owner.
  template <class Owner, class Function>
  auto wrap(std::shared_ptr<Owner> owner, Function function) const {
    return [this, o = std::move(owner), f = std::move(function)]() mutable { run([&] { f(*o); }); };
  }

  /// Starts a coroutine. `keep` owns all that it refers to; `end` is called at its end.
  template <class Executor, class End = asio::detached_t>
  void spawn(const Executor& executor, std::shared_ptr<const void> keep, asio::awaitable<void> loop,
             asio::cancellation_slot stop = {}, End end = End()) const {
    asio::co_spawn(executor, watch(std::move(keep), std::move(loop)),
                   asio::bind_cancellation_slot(stop, std::move(end)));
  }

 private:
  /// Catches before anything else runs on the strand: no other coroutine sees the state.
  asio::awaitable<void> watch(std::shared_ptr<const void>, asio::awaitable<void> loop) const {
    try {
      co_await std::move(loop);
    } catch (...) {
      fail_(std::current_exception());
    }
  }

  handler fail_;
};

}  // namespace ilm::inline v0::detail
