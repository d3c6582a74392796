#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/query.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdint>
#include <emscripten.h>
#include <exception>
#include <optional>
#include <sys/select.h>

#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wdollar-in-identifier-extension"

namespace ilm::inline v0 {

/// Runs an io_context in a page or a worker, whose thread must never block: all that is ready, and
/// back to the browser's event loop. The next timer of the context is one timer of JavaScript's,
/// which is late after a long wait, by `slack_of`. Nothing else wakes an idle page, but for one
/// turn each five minutes, Asio's longest wait.
///
/// A program makes its context, starts its coroutines, calls `page_loop::of(context).run()` and
/// returns from `main`; the context lives on. Each callback from JavaScript that gives the context
/// something to do ends with `run()`. Nobody else runs the context while the loop does. It has
/// work for as long as it exists; `stop()` ends the loop, until `restart()` and `run()`.
///
/// Asio waits in `select`, which the loop takes over: link with `-Wl,--wrap=select`, as the target
/// ilm::browser does.
class page_loop final : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit page_loop(asio::execution_context& c)
      : asio::execution_context::service(c),
        context_(static_cast<asio::io_context&>(c)),
        work_(std::in_place, context_.get_executor()) {
    // A context that had no timer yet would not wait in select.
    asio::steady_timer first(context_);
  }

  /// The loop of a context, which is made with its first use.
  static page_loop& of(asio::io_context& c) { return asio::use_service<page_loop>(c); }
  /// The loop of an executor whose context is an asio::io_context.
  static page_loop& of(const asio::any_io_executor& e) {
    return asio::use_service<page_loop>(asio::query(e, asio::execution::context));
  }

  /// Runs what is ready: at once, or where the context already runs, before that ends. After
  /// `longest_turn` the browser has its turn first. An exception of a handler passes to the caller,
  /// and the loop goes on.
  void run() {
    if (running_ == this) return;
    if (running_ != nullptr) {
      // Contexts do not run inside one another.
      go_on_soon();
      return set_timer();
    }
    turn now(*this);
    ++turns_;
    auto end = std::chrono::steady_clock::now() + longest_turn;
    for (unsigned ran = 1; context_.run_one() != 0; ++ran) {
      if (ran % handlers_per_look != 0 || std::chrono::steady_clock::now() < end) continue;
      return go_on_soon();
    }
  }

  /// How often it ran: for whoever wonders what keeps a page awake.
  std::uint64_t turns() const noexcept { return turns_; }

  /// For as long others wait at most, while there is always something to do.
  static constexpr std::chrono::milliseconds longest_turn{20};

  /// How late the turn after this wait may be: timers that are close to one another share it, and
  /// what the other side says at the same time may make some of them needless.
  static constexpr std::chrono::milliseconds slack_of(std::chrono::milliseconds wait) {
    if (wait < std::chrono::seconds(1)) return std::chrono::milliseconds(0);
    return std::min(wait / 50, std::chrono::milliseconds(100));
  }

  /// Called for `select`, with the time to the next timer: the context is done for now.
  static void handle_wait(std::chrono::microseconds timeout) {
    if (running_ == nullptr) return;
    running_->wait_ = std::chrono::ceil<std::chrono::milliseconds>(timeout);
    running_->context_.stop();
  }

 private:
  static constexpr unsigned handlers_per_look = 16;

  class turn {
   public:
    explicit turn(page_loop& l) : loop_(l), exceptions_(std::uncaught_exceptions()) {
      running_ = &l;
      l.wait_.reset();
    }
    turn(const turn&) = delete;
    turn& operator=(const turn&) = delete;
    ~turn() {
      running_ = nullptr;
      if (std::uncaught_exceptions() != exceptions_) loop_.go_on_soon();
      loop_.set_timer();
    }

   private:
    page_loop& loop_;
    int exceptions_;
  };

  void go_on_soon() noexcept {
    if (!context_.stopped()) wait_ = std::chrono::milliseconds(0);
  }

  void set_timer() const {
    // Without a wait it was stopped by somebody else.
    if (!wait_) return;
    context_.restart();
    // clang-format off
    EM_ASM(
        {
          const timers = Module["ilmTimers"] || (Module["ilmTimers"] = new Map());
          clearTimeout(timers.get($0));
          timers.set($0, setTimeout(_ilm_page_loop_turn, $1, $0));
        },
        this, static_cast<double>((*wait_ + slack_of(*wait_)).count()));
    // clang-format on
  }

  void shutdown() override {
    work_.reset();
    // clang-format off
    EM_ASM(
        {
          const timers = Module["ilmTimers"];
          if (!timers) return;
          clearTimeout(timers.get($0));
          timers.delete($0);
        },
        this);
    // clang-format on
  }

  inline static page_loop* running_ = nullptr;

  asio::io_context& context_;
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work_;
  std::optional<std::chrono::milliseconds> wait_;  ///< until the next turn; none: stopped
  std::uint64_t turns_ = 0;
};

}  // namespace ilm::inline v0

extern "C" {

EMSCRIPTEN_KEEPALIVE inline void ilm_page_loop_turn(ilm::page_loop* loop) { loop->run(); }

int __real_select(int count, fd_set* reads, fd_set* writes, fd_set* exceptions, timeval* timeout);

/// In each program that has a loop. Weak: every translation unit has it.
__attribute__((weak)) int __wrap_select(int count, fd_set* reads, fd_set* writes,
                                        fd_set* exceptions, timeval* timeout) {
  std::chrono::microseconds wait{0};
  if (timeout)
    wait = std::chrono::seconds(timeout->tv_sec) + std::chrono::microseconds(timeout->tv_usec);
  if (wait.count() != 0) ilm::page_loop::handle_wait(wait);
  timeval none{};
  return __real_select(count, reads, writes, exceptions, &none);
}
}

#pragma clang diagnostic pop
