#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::testing {

class simulated_timer;

/// A clock that stands still until a test moves it, one for each thread. Networks and messengers
/// built on it wait for it instead of for real time, so an hour passes in no time at all, and the
/// same program passes it the same way twice.
class simulated_clock {
 public:
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<simulated_clock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept { return state().now; }

  /// Sets the clock to 0 and destroys the handlers that wait for it. Call it before their context
  /// is destroyed.
  static void reset() {
    all old = std::exchange(state(), all{});
    old.waits.clear();
  }

  /// Moves the clock forward without running anything, as when a computer sleeps. Waits due in that
  /// time end late, and in order, at the next run.
  static void jump(duration span) noexcept { state().now += span; }

  /// Runs `context` until `done()` holds, or `limit` of simulated time has passed, or nothing is
  /// left that could happen. True if `done()` holds.
  template <class Context, class Predicate>
  static bool run_until(Context& context, Predicate done, duration limit = std::chrono::hours(1)) {
    time_point end = now() + limit;
    for (;;) {
      // One handler at a time, so that the clock never runs ahead of the predicate.
      context.restart();
      do {
        if (done()) return true;
      } while (context.poll_one() != 0);
      if (!advance(end)) return false;
    }
  }

  /// Runs `context` for a span of simulated time.
  template <class Context>
  static void run_for(Context& context, duration span) {
    time_point end = now() + span;
    do {
      context.restart();
      context.poll();
    } while (advance(end));
    state().now = std::max(state().now, end);
  }

 private:
  friend class simulated_timer;

  struct key {
    time_point at;
    std::uint64_t number;
    friend auto operator<=>(const key&, const key&) = default;
  };
  struct all {
    time_point now{};
    std::uint64_t numbers = 0;
    std::map<key, detail::completion<std::error_code>> waits;
  };

  static all& state() {
    static thread_local all instance;
    return instance;
  }

  static void end_wait(const key& k) {
    auto node = state().waits.extract(k);
    if (!node.empty()) node.mapped()(asio::error::operation_aborted);
  }

  /// Moves to the next wait that is due by `end` and ends it; false if there is none.
  static bool advance(time_point end) {
    all& s = state();
    if (s.waits.empty() || s.waits.begin()->first.at > end) return false;
    auto first = s.waits.extract(s.waits.begin());
    s.now = std::max(s.now, first.key().at);
    first.mapped()({});
    return true;
  }
};

/// The waitable timer of the simulated clock, with the part of asio::steady_timer's interface that
/// ILM uses.
class simulated_timer {
 public:
  using clock_type = simulated_clock;
  using time_point = simulated_clock::time_point;

  explicit simulated_timer(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  simulated_timer(asio::any_io_executor executor, simulated_clock::duration wait)
      : executor_(std::move(executor)), expiry_(simulated_clock::now() + wait) {}
  simulated_timer(const simulated_timer&) = delete;
  simulated_timer& operator=(const simulated_timer&) = delete;
  ~simulated_timer() {
    for (const simulated_clock::key& k : waiting_) simulated_clock::state().waits.erase(k);
  }

  void expires_at(time_point at) {
    cancel();
    expiry_ = at;
  }

  void cancel() {
    for (const simulated_clock::key& k : std::exchange(waiting_, {})) simulated_clock::end_wait(k);
  }

  template <class Token = asio::use_awaitable_t<>>
  auto async_wait(Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [this](auto&& handler) {
          simulated_clock::key k{expiry_, ++simulated_clock::state().numbers};
          auto slot = asio::get_associated_cancellation_slot(handler);
          if (slot.is_connected()) {
            slot.assign([k](asio::cancellation_type) { simulated_clock::end_wait(k); });
          }
          try {
            add_wait(k, handler);
          } catch (...) {
            // What an initiation throws does not reach the coroutine that waits.
            asio::post(executor_, [h = std::move(handler)]() mutable {
              std::move(h)(std::make_error_code(std::errc::not_enough_memory));
            });
          }
        },
        token);
  }

 private:
  /// Takes the handler, unless it throws.
  template <class Handler>
  void add_wait(const simulated_clock::key& k, Handler& handler) {
    simulated_clock::all& s = simulated_clock::state();
    std::erase_if(waiting_, [&](const auto& old) { return !s.waits.contains(old); });
    waiting_.push_back(k);
    auto at = s.waits.emplace(k, detail::completion<std::error_code>()).first;
    try {
      at->second = detail::completion<std::error_code>(std::move(handler), executor_);
    } catch (...) {
      s.waits.erase(at);
      throw;
    }
  }

  asio::any_io_executor executor_;
  time_point expiry_{};
  std::vector<simulated_clock::key> waiting_;
};

}  // namespace ilm::inline v0::testing

template <>
struct ilm::timer_of<ilm::testing::simulated_clock> {
  using type = ilm::testing::simulated_timer;
};
