#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/redirect_error.hpp>

#include <system_error>
#include <type_traits>
#include <utility>

namespace ilm::inline v0::detail {

/// A completion token: awaits an operation of Asio's, whose error goes to `failed`. An operation
/// that finds no memory to begin completes with that error; with Asio's own token it would end the
/// process, or destroy the coroutine.
class await_into {
 public:
  explicit await_into(std::error_code& failed) noexcept : failed_(&failed) {}

  auto inner() const { return asio::redirect_error(asio::use_awaitable, *failed_); }

 private:
  std::error_code* failed_;
};

/// A handler that tells whether an initiation took it away.
template <class Handler>
class held_handler {
 public:
  using executor_type = asio::associated_executor_t<Handler>;
  using cancellation_slot_type = asio::associated_cancellation_slot_t<Handler>;

  explicit held_handler(Handler h) : handler_(std::move(h)) {}
  held_handler(held_handler&& from) noexcept
      : handler_(std::move(from.handler_)), held_(std::exchange(from.held_, false)) {}

  bool held() const noexcept { return held_; }
  executor_type get_executor() const noexcept { return asio::get_associated_executor(handler_); }
  cancellation_slot_type get_cancellation_slot() const noexcept {
    return asio::get_associated_cancellation_slot(handler_);
  }

  template <class... Results>
  void operator()(Results&&... results) {
    std::move(handler_)(std::forward<Results>(results)...);
  }

 private:
  Handler handler_;
  bool held_ = true;
};

/// An initiation that throws nothing. `Results` follow the error.
template <class Initiation, class... Results>
class sound_initiation {
 public:
  explicit sound_initiation(Initiation i) : initiation_(std::move(i)) {}

  template <class Handler, class... Args>
  void operator()(Handler&& handler, Args&&... args) {
    held_handler<std::decay_t<Handler>> held(std::forward<Handler>(handler));
    try {
      std::move(initiation_)(std::move(held), std::forward<Args>(args)...);
      return;
    } catch (...) {
      // A handler that was taken away is gone, and with it the coroutine.
      if (!held.held()) return;
    }
    auto executor = held.get_executor();
    asio::post(executor, [h = std::move(held)]() mutable {
      h(std::make_error_code(std::errc::not_enough_memory), Results()...);
    });
  }

 private:
  Initiation initiation_;
};

}  // namespace ilm::inline v0::detail

template <class... Results>
class asio::async_result<ilm::detail::await_into, void(std::error_code, Results...)> {
 public:
  template <class Initiation, class... Args>
  static auto initiate(Initiation&& initiation, ilm::detail::await_into token, Args&&... args) {
    using sound = ilm::detail::sound_initiation<std::decay_t<Initiation>, Results...>;
    auto inner = token.inner();
    return asio::async_initiate<decltype(inner), void(std::error_code, Results...)>(
        sound(std::forward<Initiation>(initiation)), inner, std::forward<Args>(args)...);
  }
};
