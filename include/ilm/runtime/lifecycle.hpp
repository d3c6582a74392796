#pragma once

#include <ilm/error.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// Where a messenger stands between its construction and its end.
///
/// | state               | until                                            | then                |
/// |---------------------|--------------------------------------------------|---------------------|
/// | opening             | the store opened                                 | running             |
/// |                     | a shutdown was asked for                         | giving_up           |
/// | giving_up           | the store opened                                 | draining            |
/// |                     | it failed again, or the deadline                 | ended               |
/// | running             | a shutdown was asked for                         | draining            |
/// | draining            | everything is delivered, or the deadline         | stopping_commits    |
/// | stopping_commits    | no commit is under way                           | stopping_deliveries |
/// | stopping_deliveries | no call of the application runs, or the grace    | last_commit         |
/// | last_commit         | the last batch is stored, or failed              | last_stored         |
/// | last_stored         | at once                                          | saying_bye          |
/// | saying_bye          | no frame is with the network, or the grace, and  |                     |
/// |                     | a call of the application runs                   | lingering           |
/// |                     | one ended after the last batch was made          | last_commit         |
/// |                     | neither                                          | closing             |
/// | lingering           | no call of the application runs, and no commit   | last_commit         |
/// | closing             | the store is closed, or failed to close          | ended               |
///
/// Bye is said once: a later last_stored goes on as saying_bye does at its end. The graces are
/// delivery_grace and bye_grace.
///
/// A messenger that lingers has reported, and is at its end for its callers and the network. The
/// store is kept for the calls that ignore their cancellation: no successor begins their messages
/// before they end, and what they consume is stored.
///
/// From each, a messenger that failed goes to ended, and one that is destroyed, unless it lingers.
class lifecycle {
 public:
  enum class state : std::uint8_t {
    opening,
    giving_up,
    running,
    draining,
    stopping_commits,
    stopping_deliveries,
    last_commit,
    last_stored,
    saying_bye,
    lingering,
    closing,
    ended,
  };

  /// The activity under way.
  struct activity {
    bool drained = false;     ///< nothing waits that could still be delivered
    bool committing = false;  ///< a batch is with the store
    bool delivering = false;  ///< a message is with the application
    bool writing = false;     ///< a frame is with the network
  };

  /// The next step of a shutdown.
  enum class step {
    wait,             ///< for any change of the activity, or the deadline
    stop_deliveries,  ///< cancel the calls of the application
    store_last,       ///< commit the remaining changes; then `handle_last_commit`
    say_bye,          ///< send the last frames
    report,           ///< tell those that wait for the shutdown that calls still run
    close_store,      ///< then `handle_closed`
    finish,           ///< report
    leave,            ///< it is over
  };

  // Inputs.

  void handle_opened() {
    assert(opening());
    state_ = state_ == state::opening ? state::running : state::draining;
    open_error_ = {};
    assert(invariants_hold());
  }

  /// True if the error is another one than before.
  bool handle_open_failed(std::error_code reason) {
    assert(opening() && reason);
    bool news = reason != open_error_;
    open_error_ = reason;
    if (state_ == state::giving_up) deadline_ = protocol::timestamp::min();
    assert(invariants_hold());
    return news;
  }

  /// A shutdown by `at`. Asked again, the earlier deadline holds; while it lingers, it is that of
  /// the next report.
  void handle_shutdown(protocol::timestamp at) {
    if (state_ == state::opening) state_ = state::giving_up;
    if (state_ == state::running) state_ = state::draining;
    if (state_ == state::giving_up || state_ == state::draining || state_ == state::lingering) {
      deadline_ = std::min(deadline_, at);
    }
    assert(invariants_hold());
  }

  void handle_last_commit() {
    assert(state_ == state::last_commit);
    enter(state::last_stored, protocol::never);
  }

  /// A call of the application ended, and what it did is to be stored.
  void handle_consumed() noexcept {
    bool behind_batch =
        state_ == state::last_commit || state_ == state::last_stored || state_ == state::saying_bye;
    if (behind_batch) unstored_ = true;
  }

  void handle_closed(std::error_code failed) {
    assert(state_ == state::closing);
    end(error::shut_down, failed);
  }

  /// The messenger is destroyed, and does not linger: `reason` is told to whoever waits.
  void handle_stopped(std::error_code reason) {
    if (state_ != state::ended) end(reason, {});
  }

  /// The messenger failed: `reason` is told to whoever waits, a shutdown included.
  void handle_failed(std::error_code reason) {
    assert(reason);
    if (state_ != state::ended) end(reason, reason);
  }

  /// The next step of a shutdown: to be asked after each change of `now_active`.
  step next(const activity& now_active, protocol::timestamp now) {
    step s = advance(now_active, now);
    assert(invariants_hold());
    return s;
  }

  // State.

  state current() const noexcept { return state_; }
  bool opening() const noexcept { return state_ == state::opening || state_ == state::giving_up; }
  bool accepts_sends() const noexcept {
    return state_ == state::opening || state_ == state::running;
  }
  bool delivers() const noexcept { return state_ <= state::draining; }
  bool reads() const noexcept { return state_ == state::running || state_ == state::draining; }
  bool commits() const noexcept { return reads() || state_ == state::lingering; }
  /// A shutdown waits for the commit under way; it is not to wait for another after its deadline,
  /// but for the last one.
  bool begins_commits(protocol::timestamp now) const noexcept {
    return state_ == state::last_commit || state_ == state::lingering ||
           (reads() && now < deadline_);
  }
  bool shutting_down() const noexcept {
    return state_ != state::opening && state_ != state::running && state_ != state::ended;
  }
  bool ended() const noexcept { return state_ == state::ended; }
  /// Whether a shutdown has reported, and the store is kept for calls of the application.
  bool lingers() const noexcept { return reported_ && !ended(); }
  /// Whether it is at its end for its callers and the network.
  bool retired() const noexcept { return reported_ || ended(); }

  /// Why a request is refused now.
  std::error_code refusal() const noexcept {
    return ended() ? end_reason_ : make_error_code(error::shut_down);
  }
  /// Why the store could not be opened, if it could not.
  std::error_code open_error() const noexcept { return open_error_; }
  /// The error of a shutdown, if it failed.
  std::error_code shutdown_error() const noexcept { return shutdown_error_; }

  /// When to call `next` at the latest.
  protocol::timestamp deadline() const noexcept { return deadline_; }

 private:
  step advance(const activity& a, protocol::timestamp now) {
    switch (state_) {
      case state::opening:
      case state::running:
        return step::wait;
      case state::giving_up:
        if (now < deadline_) return step::wait;
        end(error::shut_down,
            open_error_ ? open_error_ : std::make_error_code(std::errc::timed_out));
        return step::finish;
      case state::draining:
        if (!a.drained && now < deadline_) return step::wait;
        enter(state::stopping_commits, protocol::never);
        [[fallthrough]];
      case state::stopping_commits:
        if (a.committing) return step::wait;
        // A message that is consumed after the last batch would be delivered again.
        enter(state::stopping_deliveries, now + delivery_grace);
        return step::stop_deliveries;
      case state::stopping_deliveries:
        if (a.delivering && now < deadline_) return step::wait;
        enter(state::last_commit, protocol::never);
        return step::store_last;
      case state::last_commit:
        return step::wait;
      case state::last_stored:
        if (std::exchange(said_bye_, true)) return leave_store(a);
        enter(state::saying_bye, now + bye_grace);
        return step::say_bye;
      case state::saying_bye:
        if (a.writing && now < deadline_) return step::wait;
        return leave_store(a);
      case state::lingering:
        return linger(a, now);
      case state::closing:
        return step::wait;
      case state::ended:
        return step::leave;
    }
    return step::leave;
  }

  step leave_store(const activity& a) {
    if (a.delivering) {
      assert(!reported_);
      reported_ = true;
      enter(state::lingering, protocol::never);
      return step::report;
    }
    bool again = std::exchange(unstored_, false);
    enter(again ? state::last_commit : state::closing, protocol::never);
    return again ? step::store_last : step::close_store;
  }

  step linger(const activity& a, protocol::timestamp now) {
    if (a.delivering && now >= deadline_) {
      deadline_ = protocol::never;
      return step::report;
    }
    if (a.delivering || a.committing) return step::wait;
    unstored_ = false;
    enter(state::last_commit, protocol::never);
    return step::store_last;
  }

  void enter(state next, protocol::timestamp deadline) noexcept {
    state_ = next;
    deadline_ = deadline;
  }

  void end(std::error_code reason, std::error_code failed) noexcept {
    enter(state::ended, protocol::never);
    end_reason_ = reason;
    shutdown_error_ = failed;
  }

  bool invariants_hold() const noexcept {
    bool timed = state_ == state::giving_up || state_ == state::draining ||
                 state_ == state::stopping_deliveries || state_ == state::saying_bye ||
                 state_ == state::lingering;
    if (reported_ && !said_bye_) return false;
    if (!timed && deadline_ != protocol::never) return false;
    if (open_error_ && !opening() && !ended()) return false;
    return ended() == static_cast<bool>(end_reason_);
  }

  state state_ = state::opening;
  protocol::timestamp deadline_ = protocol::never;
  std::error_code open_error_;
  std::error_code end_reason_;
  std::error_code shutdown_error_;
  bool said_bye_ = false;
  bool unstored_ = false;  ///< a call ended after the last batch was made
  bool reported_ = false;  ///< the shutdown, while calls went on
};

}  // namespace ilm::inline v0::runtime
