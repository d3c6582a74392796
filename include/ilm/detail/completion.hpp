#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion_sweep.hpp>
#include <ilm/detail/waiting_handler.hpp>

#include <atomic>
#include <cassert>
#include <cstdint>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

namespace ilm::inline v0::detail {

/// Decides whether an operation gave its result or was cancelled: once, and no earlier than its
/// handler runs. A cancellation that comes in the same turn as the result then wins, and the result
/// is not lost with whoever no longer waits for it (`receive() || timer`).
class claim {
 public:
  /// True if the operation is cancelled by this.
  bool cancel() noexcept { return decide(state::cancelled); }
  /// True if the result may be given.
  bool take() noexcept { return decide(state::taken); }

 private:
  enum class state : std::uint8_t { open, taken, cancelled };

  bool decide(state s) noexcept {
    state expected = state::open;
    return state_.compare_exchange_strong(expected, s);
  }

  std::atomic<state> state_{state::open};
};

/// A completion handler of any type, to be called once with `Args`, on its own executor, never from
/// inside the call. A constructor or call that throws leaves the handler where it was. Keeps that
/// executor's context at work until then. Asio's own any_completion_handler is younger than 1.22.
template <class... Args>
class completion {
 public:
  completion() = default;

  template <class Handler, class Executor>
  completion(Handler&& handler, const Executor& fallback)
      : held_(std::make_shared<holder<std::decay_t<Handler>>>(std::forward<Handler>(handler),
                                                              fallback)) {}

  /// A completion that calls `function` at once: for one that passes the result on to another.
  template <class Function>
  static completion pass_to(Function function) {
    completion made;
    made.held_ = std::make_shared<relay<Function>>(std::move(function));
    return made;
  }

  /// A completion whose handler is called by `finish(handler, args...)`.
  template <class Handler, class Executor, class Finish>
  static completion finished_by(Handler&& handler, const Executor& fallback, Finish finish) {
    completion made;
    made.held_ = std::make_shared<finished_holder<std::decay_t<Handler>, Finish>>(
        std::forward<Handler>(handler), fallback, std::move(finish));
    return made;
  }

  /// A completion that `c` decides about when the handler is to run. `finish(handler, args...)`
  /// calls the handler with the result. If the operation was cancelled meanwhile, or the handler's
  /// context ended, `give_back(args...)` gets the result; the former also calls `abort(handler)`.
  template <class Handler, class Executor, class Finish, class GiveBack, class Abort>
  static completion claimed(Handler&& handler, const Executor& fallback, std::shared_ptr<claim> c,
                            Finish finish, GiveBack give_back, Abort abort) {
    completion made;
    made.held_ = std::make_shared<claimed_holder<std::decay_t<Handler>, Finish, GiveBack, Abort>>(
        std::forward<Handler>(handler), fallback, std::move(c), std::move(finish),
        std::move(give_back), std::move(abort));
    return made;
  }

  explicit operator bool() const noexcept { return held_ != nullptr; }

  void operator()(Args... args) {
    assert(held_);
    std::shared_ptr<base> held = std::move(held_);
    try {
      if (held->take(std::move(args)...)) post(held);
    } catch (...) {
      held->give_back();
      held_ = std::move(held);
      throw;
    }
  }

  /// The same; where it throws, the result is in `args` again, and is not given back.
  void call_with(Args&... args) {
    assert(held_);
    std::shared_ptr<base> held = std::move(held_);
    try {
      if (held->take(std::move(args)...)) post(held);
    } catch (...) {
      held->untake(args...);
      held_ = std::move(held);
      throw;
    }
  }

  /// The same, but the handler waits for the sweep to be posted.
  void join(completion_sweep& sweep, Args... args) {
    assert(held_);
    try {
      if (!held_->take(std::move(args)...)) return held_.reset();
      sweep.make_room(*held_);
    } catch (...) {
      held_->give_back();
      throw;
    }
    sweep.add(std::move(held_));
  }

 private:
  using result = std::tuple<Args...>;

  struct base : waiting_handler {
    using waiting_handler::waiting_handler;
    /// Takes the result of a handler that is to be posted then. False if it is not: it was called.
    virtual bool take(Args... args) = 0;
    /// The result that was taken does not reach the handler.
    virtual void give_back() noexcept {}
    /// Takes it back, if there is one.
    virtual void untake(Args&...) {}
  };

  /// A handler, and its result.
  template <class Handler>
  struct with_result : base {
    template <class H, class Executor>
    with_result(H&& h, const Executor& fallback)
        : base(asio::any_io_executor(asio::get_associated_executor(h, fallback))),
          handler(std::forward<H>(h)) {}

    bool take(Args... args) override {
      bound.emplace(std::move(args)...);
      return true;
    }
    void untake(Args&... args) override {
      if (bound) std::tie(args...) = *std::exchange(bound, std::nullopt);
    }

    Handler handler;
    std::optional<result> bound;
  };

  template <class Handler>
  struct holder final : with_result<Handler> {
    using with_result<Handler>::with_result;

    void run(std::shared_ptr<waiting_handler> self) override {
      Handler h = std::move(this->handler);
      result r = std::move(*this->bound);
      self.reset();
      std::apply(std::move(h), std::move(r));
    }
  };

  template <class Handler, class Finish>
  struct finished_holder final : with_result<Handler> {
    template <class H, class Executor>
    finished_holder(H&& h, const Executor& fallback, Finish f)
        : with_result<Handler>(std::forward<H>(h), fallback), finish(std::move(f)) {}

    void run(std::shared_ptr<waiting_handler> self) override {
      Handler h = std::move(this->handler);
      result r = std::move(*this->bound);
      Finish f = std::move(finish);
      self.reset();
      std::apply([&](Args&... a) { f(std::move(h), std::move(a)...); }, r);
    }

    Finish finish;
  };

  template <class Handler, class Finish, class GiveBack, class Abort>
  struct claimed_holder final : with_result<Handler> {
    template <class H, class Executor>
    claimed_holder(H&& h, const Executor& fallback, std::shared_ptr<claim> c, Finish f, GiveBack g,
                   Abort a)
        : with_result<Handler>(std::forward<H>(h), fallback),
          decides(std::move(c)),
          finish(std::move(f)),
          return_result(std::move(g)),
          abort(std::move(a)) {}
    ~claimed_holder() override {
      // The context may have ended before the handler ran.
      give_back();
    }

    void run(std::shared_ptr<waiting_handler>) override {
      Handler h = std::move(this->handler);
      if (decides->take()) {
        result r = *std::exchange(this->bound, std::nullopt);
        std::apply([&](Args&... a) { finish(std::move(h), std::move(a)...); }, r);
      } else {
        give_back();
        abort(std::move(h));
      }
    }
    void give_back() noexcept override {
      if (!this->bound) return;
      result r = *std::exchange(this->bound, std::nullopt);
      std::apply([&](Args&... a) { return_result(std::move(a)...); }, r);
    }

    std::shared_ptr<claim> decides;
    Finish finish;
    GiveBack return_result;
    Abort abort;
  };

  template <class Function>
  struct relay final : base {
    explicit relay(Function f) : function(std::move(f)) {}
    bool take(Args... args) override {
      function(std::move(args)...);
      return false;
    }
    void run(std::shared_ptr<waiting_handler>) override { assert(false); }

    Function function;
  };

  std::shared_ptr<base> held_;
};

}  // namespace ilm::inline v0::detail
