#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion_sweep.hpp>

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

/// Its address stands for the type.
template <class T>
inline constexpr char type_tag = 0;

/// A completion handler of any type, to be called once with `Args`, on its own executor, never from
/// inside the call. A constructor or call that throws leaves the handler where it was. Keeps that
/// executor's context at work until then. Asio's own any_completion_handler is younger than 1.22.
template <class... Args>
class completion {
 public:
  completion() = default;

  template <class Handler, class Executor>
  completion(Handler&& handler, const Executor& fallback)
      : held_(std::make_shared<holder<std::decay_t<Handler>, Executor>>(
            std::forward<Handler>(handler), fallback)) {}

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
    made.held_ = std::make_shared<finished_holder<std::decay_t<Handler>, Executor, Finish>>(
        std::forward<Handler>(handler), fallback, std::move(finish));
    return made;
  }

  /// A completion that `c` decides about when the handler is to run. `finish(handler, args...)`
  /// calls the handler with the result. If the operation was cancelled meanwhile, or the handler's
  /// context ended, `give_back(args...)` gets the result; the former also calls `abort(handler)`.
  template <class Handler, class Executor, class Finish, class GiveBack, class Abort>
  static completion claimed(Handler&& handler, const Executor& fallback, std::shared_ptr<claim> c,
                            Finish finish, GiveBack give_back, Abort abort) {
    auto rule = std::make_tuple(std::move(finish), std::move(give_back), std::move(abort));
    completion made;
    made.held_ = std::make_shared<claimed_holder<std::decay_t<Handler>, Executor, decltype(rule)>>(
        std::forward<Handler>(handler), fallback, std::move(c), std::move(rule));
    return made;
  }

  explicit operator bool() const noexcept { return held_ != nullptr; }

  void operator()(Args... args) {
    assert(held_);
    std::shared_ptr<base> held = std::move(held_);
    try {
      held->post(held, std::move(args)...);
    } catch (...) {
      held_ = std::move(held);
      throw;
    }
  }

  /// The same, but the handler waits for the sweep to be posted, if it can run with others.
  void join(completion_sweep& sweep, const Args&... args) {
    assert(held_);
    completion_sweep::item* item = held_->bind(args...);
    if (item == nullptr) return (*this)(args...);
    sweep.make_room(*item);
    sweep.add(std::shared_ptr<completion_sweep::item>(std::move(held_), item));
  }

 private:
  struct base {
    virtual ~base() = default;
    /// `self` holds this. A handler stays here until it runs, for a post may throw.
    virtual void post(const std::shared_ptr<base>& self, Args... args) = 0;
    /// The handler with its result, or null if it has to be posted by itself.
    virtual completion_sweep::item* bind(const Args&...) { return nullptr; }
  };

  /// A handler, and its executor's context at work.
  template <class Handler, class Executor>
  struct working_handler {
    using executor_type = asio::associated_executor_t<Handler, Executor>;
    using work_type = std::decay_t<decltype(asio::prefer(
        std::declval<const executor_type&>(), asio::execution::outstanding_work.tracked))>;

    /// Takes the handler last.
    template <class H>
    working_handler(H&& h, const Executor& fallback)
        : work(asio::prefer(asio::get_associated_executor(h, fallback),
                            asio::execution::outstanding_work.tracked)),
          handler(std::forward<H>(h)) {}

    work_type work;
    Handler handler;
  };

  template <class Handler, class Executor>
  struct holder final : base, completion_sweep::item {
    using inner_type = working_handler<Handler, Executor>;
    using work_type = typename inner_type::work_type;

    template <class H>
    holder(H&& h, const Executor& fallback) : inner(std::forward<H>(h), fallback) {}

    void post(const std::shared_ptr<base>& self, Args... args) override {
      asio::post(inner.work, [held = std::static_pointer_cast<holder>(self),
                              bound = std::make_tuple(std::move(args)...)]() mutable {
        Handler h = std::move(held->inner.handler);
        held.reset();
        std::apply(std::move(h), std::move(bound));
      });
    }

    completion_sweep::item* bind(const Args&... args) override {
      result.emplace(args...);
      return this;
    }
    bool goes_with(const completion_sweep::item& other) const noexcept override {
      return other.executor_type() == executor_type() &&
             *static_cast<const work_type*>(other.executor()) == inner.work;
    }
    void post(const std::shared_ptr<completion_sweep>& all) override {
      asio::post(inner.work, [all] { (*all)(); });
    }
    void post_alone(const std::shared_ptr<completion_sweep::item>& self) override {
      asio::post(inner.work, [held = self] { held->run(held); });
    }
    void run(std::shared_ptr<completion_sweep::item> self) override {
      Handler h = std::move(inner.handler);
      std::tuple<Args...> bound = std::move(*result);
      self.reset();
      std::apply(std::move(h), std::move(bound));
    }
    const void* executor() const noexcept override { return &inner.work; }
    const void* executor_type() const noexcept override { return &type_tag<work_type>; }

    inner_type inner;
    std::optional<std::tuple<Args...>> result;
  };

  template <class Handler, class Executor, class Finish>
  struct finished_holder final : base {
    template <class H>
    finished_holder(H&& h, const Executor& fallback, Finish f)
        : inner(std::forward<H>(h), fallback), finish(std::move(f)) {}

    void post(const std::shared_ptr<base>& self, Args... args) override {
      asio::post(inner.work, [held = std::static_pointer_cast<finished_holder>(self),
                              bound = std::make_tuple(std::move(args)...)]() mutable {
        Handler h = std::move(held->inner.handler);
        Finish f = std::move(held->finish);
        held.reset();
        std::apply([&](Args&&... a) { f(std::move(h), std::move(a)...); }, std::move(bound));
      });
    }

    working_handler<Handler, Executor> inner;
    Finish finish;
  };

  template <class Handler, class Executor, class Rule>
  struct claimed_holder final : base {
    template <class H>
    claimed_holder(H&& h, const Executor& fallback, std::shared_ptr<claim> c, Rule r)
        : inner(std::forward<H>(h), fallback), decides(std::move(c)), rule(std::move(r)) {}

    void post(const std::shared_ptr<base>& self, Args... args) override {
      asio::post(inner.work,
                 claimed_call<claimed_holder>(std::static_pointer_cast<claimed_holder>(self),
                                              std::make_tuple(std::move(args)...)));
    }

    working_handler<Handler, Executor> inner;
    std::shared_ptr<claim> decides;
    Rule rule;
  };

  /// The call of a handler on its way through the executor.
  template <class Holder>
  class claimed_call {
   public:
    claimed_call(std::shared_ptr<Holder> held, std::tuple<Args...> args)
        : held_(std::move(held)), args_(std::move(args)) {}
    claimed_call(claimed_call&&) noexcept = default;
    ~claimed_call() {
      // The context ended before the handler ran.
      if (held_) std::apply(std::get<1>(held_->rule), std::move(args_));
    }

    void operator()() {
      std::shared_ptr<Holder> held = std::exchange(held_, nullptr);
      auto handler = std::move(held->inner.handler);
      if (held->decides->take()) {
        std::apply(
            [&](Args&&... a) { std::get<0>(held->rule)(std::move(handler), std::move(a)...); },
            std::move(args_));
      } else {
        std::apply(std::get<1>(held->rule), std::move(args_));
        std::get<2>(held->rule)(std::move(handler));
      }
    }

   private:
    std::shared_ptr<Holder> held_;
    std::tuple<Args...> args_;
  };

  template <class Function>
  struct relay final : base {
    explicit relay(Function f) : function(std::move(f)) {}
    void post(const std::shared_ptr<base>&, Args... args) override { function(std::move(args)...); }

    Function function;
  };

  std::shared_ptr<base> held_;
};

}  // namespace ilm::inline v0::detail
