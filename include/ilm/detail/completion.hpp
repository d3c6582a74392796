#pragma once

#include <ilm/detail/asio.hpp>

#include <cassert>
#include <memory>
#include <tuple>
#include <utility>

namespace ilm::inline v0::detail {

/// A completion handler of any type, to be called once with `Args`, on its own executor, never from
/// inside the call. Keeps that executor's context at work until then. Asio's own
/// any_completion_handler is younger than 1.22.
template <class... Args>
class completion {
 public:
  completion() = default;

  template <class Handler, class Executor>
  completion(Handler&& handler, const Executor& fallback)
      : held_(std::make_unique<holder<std::decay_t<Handler>, Executor>>(
            std::forward<Handler>(handler), fallback)) {}

  /// A completion that calls `function` at once: for one that passes the result on to another.
  template <class Function>
  static completion pass_to(Function function) {
    completion made;
    made.held_ = std::make_unique<relay<Function>>(std::move(function));
    return made;
  }

  explicit operator bool() const noexcept { return held_ != nullptr; }

  void operator()(Args... args) {
    assert(held_);
    std::unique_ptr<base> held = std::move(held_);
    held->post(std::move(args)...);
  }

 private:
  struct base {
    virtual ~base() = default;
    virtual void post(Args... args) = 0;
  };

  template <class Handler, class Executor>
  struct holder final : base {
    using executor_type = asio::associated_executor_t<Handler, Executor>;
    using work_type = std::decay_t<decltype(asio::prefer(
        std::declval<const executor_type&>(), asio::execution::outstanding_work.tracked))>;

    holder(Handler h, const Executor& fallback)
        : handler(std::move(h)),
          work(asio::prefer(asio::get_associated_executor(handler, fallback),
                            asio::execution::outstanding_work.tracked)) {}

    void post(Args... args) override {
      asio::post(work,
                 [h = std::move(handler), bound = std::make_tuple(std::move(args)...)]() mutable {
                   std::apply(std::move(h), std::move(bound));
                 });
    }

    Handler handler;
    work_type work;
  };

  template <class Function>
  struct relay final : base {
    explicit relay(Function f) : function(std::move(f)) {}
    void post(Args... args) override { function(std::move(args)...); }

    Function function;
  };

  std::unique_ptr<base> held_;
};

}  // namespace ilm::inline v0::detail
