#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/testing/kit/limits.hpp>
#include <ilm/testing/kit/report.hpp>

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::testing {

/// Limits of a kit.
struct kit_options {
  /// An operation that takes longer counts as one that never completes. In the time of the kit's
  /// clock.
  std::chrono::nanoseconds limit = std::chrono::seconds(5);
};

namespace kit {

inline std::string describe(std::exception_ptr e) {
  if (!e) return "no error";
  try {
    std::rethrow_exception(e);
  } catch (const std::system_error& known) {
    return std::string(known.what()) + " (" + known.code().category().name() + ":" +
           std::to_string(known.code().value()) + ")";
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "something that is no std::exception";
  }
}

inline bool is(std::exception_ptr e, std::error_code wanted) {
  if (!e) return false;
  try {
    std::rethrow_exception(e);
  } catch (const std::system_error& known) {
    return known.code() == wanted;
  } catch (...) {
    return false;
  }
}

/// One call of a coroutine of the user's: its progress, its result, and its cancellation.
template <class T>
struct call {
  bool done = false;
  /// It resumed its caller elsewhere than on the caller's strand.
  bool foreign = false;
  std::exception_ptr failed;
  std::optional<T> value;
  asio::cancellation_signal stop;
};

struct nothing {};

using strand = asio::strand<asio::io_context::executor_type>;

/// Calls `operation()` and records the result. `operation` owns everything that the call needs: a
/// coroutine that never completes keeps it for good.
template <class T, class Operation>
asio::awaitable<void> run_call(std::shared_ptr<call<T>> c, strand caller_strand,
                               Operation operation) {
  try {
    if constexpr (std::is_same_v<T, nothing>) {
      asio::awaitable<void> running = operation();
      co_await std::move(running);
      c->value.emplace();
    } else {
      asio::awaitable<T> running = operation();
      T result = co_await std::move(running);
      c->value.emplace(std::move(result));
    }
  } catch (...) {
    c->failed = std::current_exception();
  }
  if (!caller_strand.running_in_this_thread()) {
    c->foreign = true;
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await asio::post(caller_strand, asio::use_awaitable);
  }
  c->done = true;
}

/// Runs the user's coroutines on a strand of the user's context, with a limit to the wait.
template <class Clock>
class fixture {
 public:
  using duration = std::chrono::nanoseconds;

  fixture(asio::io_context& context, const kit_options& o)
      : context_(context),
        work_(context.get_executor()),
        strand_(asio::make_strand(context)),
        limit_(o.limit) {}

  asio::io_context& context() noexcept { return context_; }
  duration limit() const noexcept { return limit_; }
  bool on_strand() const { return strand_.running_in_this_thread(); }

  /// Runs the context until `done()`; false if that takes longer than `limit`.
  template <class Predicate>
  bool until(Predicate done, duration limit) {
    if constexpr (simulated) {
      auto now = Clock::now();
      std::size_t ran = 0;
      bool busy = false;
      // A context that is always busy would keep the clock from moving for ever.
      auto over = [&] {
        if (Clock::now() != std::exchange(now, Clock::now())) ran = 0;
        return done() || (busy = ++ran > limits::handlers_at_once);
      };
      return Clock::run_until(context_, over, limit) && !busy;
    } else {
      auto end = Clock::now() + std::chrono::duration_cast<typename Clock::duration>(limit);
      while (!done()) {
        context_.restart();
        // A few at a time: a context that is always busy must not keep the kit from the clock.
        int ran = 0;
        while (ran < limits::handlers_per_look && context_.poll_one() != 0) {
          ++ran;
          if (done()) return true;
        }
        if (Clock::now() >= end) return false;
        if (ran == 0) context_.run_one_for(limits::look_interval);
      }
      return true;
    }
  }
  template <class Predicate>
  bool until(Predicate done) {
    return until(std::move(done), limit_);
  }
  void run_for(duration time) {
    until([] { return false; }, time);
  }

  /// The number of handlers that run within limits::idle_time.
  std::size_t idle_handlers() {
    std::size_t ran = 0;
    if constexpr (simulated) {
      // Asks once before each, and once when it has nothing left.
      Clock::run_until(
          context_, [&] { return ++ran > limits::idle_handlers_counted; }, limits::idle_time);
      return ran - 1;
    } else {
      auto end = std::chrono::steady_clock::now() + limits::idle_time;
      while (std::chrono::steady_clock::now() < end) {
        context_.restart();
        ran += context_.run_one_for(std::chrono::milliseconds(10));
      }
      return ran;
    }
  }

  template <class T, class Operation>
  std::shared_ptr<call<T>> start(Operation operation) {
    auto c = std::make_shared<call<T>>();
    // An exception of `run_call` after its cancellation is of no interest.
    auto ended = [c](std::exception_ptr) { c->done = true; };
    asio::co_spawn(strand_, run_call<T>(c, strand_, std::move(operation)),
                   asio::bind_cancellation_slot(c->stop.slot(), std::move(ended)));
    return c;
  }

  template <class T>
  void cancel(const std::shared_ptr<call<T>>& c) {
    asio::post(strand_, [c] { c->stop.emit(asio::cancellation_type::terminal); });
  }

 private:
  /// The clock advances on demand, and runs the context until then.
  static constexpr bool simulated = requires(asio::io_context & c, bool (*done)()) {
    Clock::run_until(c, done, duration());
  };

  asio::io_context& context_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  strand strand_;
  duration limit_;
};

/// Runs checks, each on behalf of a clause, and keeps their exceptions from ending the kit.
template <class Clause>
class examiner {
 public:
  explicit examiner(typename clause_results<Clause>::report_handler to) : results_(std::move(to)) {}

  clause_results<Clause>& results() noexcept { return results_; }

  /// A clause that the others depend on: if it is broken, nothing else is tried.
  template <class Check>
  void require(Clause c, Check check) {
    std::size_t before = results_.summary().broken.size();
    attempt(c, std::move(check));
    if (results_.summary().broken.size() != before) end("not tried: what is broken comes first");
  }

  template <class Check>
  void attempt(Clause c, Check check) {
    if (!over_.empty()) return results_.skipped(c, over_);
    try {
      check();
      results_.kept(c);
    } catch (const violation<Clause>& v) {
      results_.broken(v.clause, v.found);
      results_.skipped(c, "not tried to its end, because of: " + std::string(text_of(v.clause)));
    } catch (const cannot_try& c_t) {
      results_.skipped(c, c_t.why);
    } catch (const stuck& s) {
      results_.broken(c, s.what + " has not completed in time");
      if (++stuck_ == limits::stuck_operations)
        end("not tried: too many operations have never completed");
    } catch (...) {
      results_.broken(c, "there was an error: " + describe(std::current_exception()));
    }
  }

  /// Nothing more is tried, and `why` is reported for all that would have been.
  void end(std::string why) {
    if (over_.empty()) over_ = std::move(why);
  }

  /// Thrown when an operation does not complete.
  struct stuck {
    std::string what;
  };

 private:
  clause_results<Clause> results_;
  std::string over_;
  int stuck_ = 0;
};

}  // namespace kit
}  // namespace ilm::inline v0::testing
