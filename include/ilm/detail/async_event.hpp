#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/waiting_handler.hpp>

#include <atomic>
#include <cassert>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace ilm::inline v0::detail {

/// A place in a ring, by itself at first. It leaves the ring when it is destroyed.
class ring_link {
 public:
  ring_link() = default;
  ring_link(const ring_link&) = delete;
  ring_link& operator=(const ring_link&) = delete;
  ~ring_link() { unlink(); }

  bool alone() const noexcept { return next_ == this; }
  ring_link& next() const noexcept { return *next_; }

  void link_before(ring_link& other) noexcept {
    assert(alone());
    next_ = &other;
    previous_ = std::exchange(other.previous_, this);
    previous_->next_ = this;
  }
  void unlink() noexcept {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = this;
  }

 private:
  ring_link* next_ = this;
  ring_link* previous_ = this;
};

class async_event;

/// Resumes the coroutines of a strand. Those that are to go on at one time do so in one turn of the
/// strand: to post each by itself costs more than most of them do.
class turns : public std::enable_shared_from_this<turns> {
 public:
  /// Then the strand's context has others to run.
  static constexpr unsigned longest = 16;

  explicit turns(const asio::any_io_executor& strand)
      : executor_(waiting_handler::never_blocking(strand)) {}
  turns(const turns&) = delete;
  turns& operator=(const turns&) = delete;
  ~turns() {
    for (ring_link* all : {&ready_, &later_}) {
      while (!all->alone()) all->next().unlink();
    }
  }

  using step = std::function<void()>;

  /// Each turn begins with `first`, and ends with `last`; `fail` is called in a `catch` for one
  /// that finds no memory for the next. None of them throws.
  void set_steps(step first, step last, step fail) {
    first_ = std::move(first);
    last_ = std::move(last);
    fail_ = std::move(fail);
  }

  // Where one of these throws, the next call posts the turn of both.

  /// From any thread: a turn comes, and `keep` lives until then.
  void request(std::shared_ptr<const void> keep = nullptr) {
    if (posted_.exchange(true)) return;
    try {
      executor_.execute([self = shared_from_this(), kept = std::move(keep)] { self->run(); });
    } catch (...) {
      posted_.store(false);
      throw;
    }
  }

  // On the strand.

  /// In this turn, if one runs; or else in the next. One that is to go on already stays in its
  /// place.
  void add(async_event& e) {
    line_up(e);
    if (!running_) request();
  }
  /// The same, but for the turn, which the next call requests.
  void line_up(async_event& e) noexcept;
  /// In the next turn, behind what has been posted to the strand.
  void add_to_next(async_event& e);

  /// Destroys the coroutines that are to go on.
  void abandon();

 private:
  void run();

  asio::any_io_executor executor_;
  step first_ = [] {};
  step last_ = [] {};
  step fail_ = [] { throw; };
  ring_link ready_;
  ring_link later_;
  std::atomic<bool> posted_{false};
  bool running_ = false;
};

/// A flag that one coroutine waits for. All members run on one strand. The event owns the coroutine
/// that waits: a context that is destroyed does not end the wait, `abandon` does.
class async_event : ring_link {
 public:
  explicit async_event(turns& t) noexcept : turns_(t) {}

  /// Completes when `notify` was called since the last wait; at once if it already was.
  asio::awaitable<void> wait() {
    if (!notified_) co_await suspend();
    notified_ = false;
  }

  /// Lets all others have a turn. What notified the event before it completes was seen: the caller
  /// looks again at what it waits for.
  asio::awaitable<void> wait_a_turn() {
    assert(alone());
    turns_.add_to_next(*this);
    co_await suspend();
    notified_ = false;
  }

  void notify() {
    notified_ = true;
    if (waiter_) turns_.add(*this);
  }
  /// Both, also where there is no memory for their turn: they go on in the next one then.
  static void notify_both(async_event& a, async_event& b) {
    a.notified_ = true;
    if (a.waiter_) a.turns_.line_up(a);
    b.notify();
    if (a.waiter_) a.turns_.add(a);
  }

  /// Destroys the coroutine that waits, if any.
  void abandon() {
    unlink();
    [[maybe_unused]] auto gone = std::exchange(waiter_, std::nullopt);
  }

 private:
  friend turns;

  using handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  asio::awaitable<void> suspend() {
    assert(!waiter_);
    return asio::async_initiate<const asio::use_awaitable_t<>&, void()>(
        [this](handler h) { waiter_.emplace(std::move(h)); }, asio::use_awaitable);
  }
  void resume() {
    assert(alone());
    if (!waiter_) return;  // There was no memory to wait.
    handler h = std::move(*waiter_);
    waiter_.reset();
    h();
  }

  turns& turns_;
  std::optional<handler> waiter_;
  bool notified_ = false;
};

inline void turns::line_up(async_event& e) noexcept {
  if (e.alone()) e.link_before(ready_);
}

inline void turns::add_to_next(async_event& e) {
  e.link_before(later_);
  if (!running_) request();
}

inline void turns::abandon() {
  for (ring_link* all : {&ready_, &later_}) {
    while (!all->alone()) static_cast<async_event&>(all->next()).abandon();
  }
}

inline void turns::run() {
  assert(!running_);
  // What is requested from now on may be too late for this turn.
  posted_.exchange(false);
  running_ = true;
  first_();
  while (!later_.alone()) {
    ring_link& next = later_.next();
    next.unlink();
    next.link_before(ready_);
  }
  for (unsigned i = 0; i < longest && !ready_.alone(); ++i) {
    auto& next = static_cast<async_event&>(ready_.next());
    next.unlink();
    next.resume();
  }
  last_();
  running_ = false;
  if (ready_.alone() && later_.alone()) return;
  try {
    request();
  } catch (...) {
    fail_();
  }
}

}  // namespace ilm::inline v0::detail
