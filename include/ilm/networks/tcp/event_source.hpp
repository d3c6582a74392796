#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/context_end.hpp>
#include <ilm/detail/failure_guard.hpp>
#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/pending_events.hpp>
#include <ilm/networks/tcp/refusal_limit.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/error.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Asio has a category of its own for the system's errors, whose codes equal no std::errc.
inline std::error_code with_system_category(std::error_code e) {
  if (e.category() != asio::error::get_system_category()) return e;
  return {e.value(), std::system_category()};
}

/// The events for `receive`: of each peer in order, of the peers in turn, problems first.
class event_source final : public context_listener,
                           public std::enable_shared_from_this<event_source> {
 public:
  /// `fail` ends the network: see failure_guard.
  event_source(
      asio::any_io_executor executor, std::size_t receive_buffer,
      failure_guard::handler fail = [](const auto&) {})
      : executor_(executor),
        receive_buffer_(receive_buffer),
        guard_(std::move(fail)),
        available_(std::move(executor)) {}

  /// That of the network: each handler on the strand that may throw runs under it.
  const failure_guard& guard() const noexcept { return guard_; }

  /// Starts a coroutine of the network under the guard. One that is destroyed before its end, as
  /// Asio does where an operation finds no memory, ends the network as well.
  void spawn(asio::awaitable<void> loop) {
    guard_.spawn(executor_, shared_from_this(), watch(shared_from_this(), std::move(loop)));
  }

  /// The events of a peer whose session begins.
  std::shared_ptr<pending_events> begin_session(const byte_string& peer) {
    std::shared_ptr<pending_events>& p = peers_[peer];
    if (!p) p = std::make_shared<pending_events>(peer, executor_);
    p->begin_session();
    mark_ready(p);
    check_invariants();
    return p;
  }

  void end_session(const std::shared_ptr<pending_events>& p) noexcept {
    p->room().notify_all();
    if (closed_) return;
    guard_.run([&] {
      p->end_session();
      if (!p->empty()) {
        mark_ready(p);
      } else {
        // Any number of peers may come and go under new names while nothing is received.
        if (std::exchange(p->is_ready, false)) std::erase(ready_, p);
        peers_.erase(p->peer());
      }
      check_invariants();
    });
  }

  /// Whether a reader of the peer's socket has to wait for `p.room()`.
  bool is_full(const pending_events& p) const noexcept { return p.bytes() >= receive_buffer_; }

  void mark_ready(const std::shared_ptr<pending_events>& p) {
    assert(!p->empty());
    if (p->is_ready || closed_) return;
    ready_.push_back(p);
    p->is_ready = true;
    available_.notify_all();
  }

  /// Whether one more problem may wait to be received.
  bool has_room_for_problem() const noexcept { return problems_.size() < problem_limit; }

  /// Why there is no session, with `peer` if one was named. Of those for which there is no room,
  /// the last one is told when there is, with the number of the others.
  void add_problem(const std::optional<byte_string>& peer, failure why) {
    if (closed_) return;
    std::shared_ptr<const byte_string> named;
    if (peer) named = std::make_shared<const byte_string>(*peer);
    why.code = with_system_category(why.code);
    encoded_event problem(encoded_event::type::problem, std::move(named), byte_string(),
                          std::move(why));
    if (has_room_for_problem()) {
      problems_.push_back(std::move(problem));
    } else {
      if (without_room_) ++others_without_room_;
      without_room_ = std::move(problem);
    }
    available_.notify_all();
    check_invariants();
  }

  /// As add_problem, for connections that this side did not ask for: reported at a limited rate for
  /// each reason, so that none hides another.
  void add_refusal(const std::optional<byte_string>& peer, failure why) {
    refusal_limit& limit = refusals_[why.code];
    if (!limit.allow(clock::now())) return;
    if (!has_room_for_problem()) return limit.handle_no_report();
    tell_of_others(why, limit.take_unreported());
    add_problem(peer, std::move(why));
  }

  /// The next event, unless there is none.
  std::optional<encoded_event> poll() {
    if (!problems_.empty()) {
      encoded_event next = std::move(problems_.front());
      problems_.pop_front();
      if (without_room_) {
        tell_of_others(without_room_->why, std::exchange(others_without_room_, 0));
        problems_.push_back(*std::exchange(without_room_, std::nullopt));
      }
      return next;
    }
    if (ready_.empty()) return std::nullopt;
    std::shared_ptr<pending_events> p = std::move(ready_.front());
    ready_.pop_front();
    p->is_ready = false;
    bool was_full = is_full(*p);
    encoded_event next = p->take();
    if (was_full && !is_full(*p)) p->room().notify_all();
    if (!p->empty()) {
      p->is_ready = true;
      ready_.push_back(std::move(p));
    } else if (!p->in_session()) {
      peers_.erase(p->peer());
    }
    check_invariants();
    return next;
  }

  /// The last event of `poll`, an `up` or a frame, was not passed on: its session is to end, and
  /// gives no further frame. An `up` counts as never given. Whether that session lasts.
  bool withdraw(const encoded_event& last) {
    auto at = peers_.find(*last.peer);
    if (at == peers_.end()) return false;
    std::shared_ptr<pending_events> p = at->second;
    bool lasts = p->withdraw(last.kind);
    if (p->empty() && std::exchange(p->is_ready, false)) std::erase(ready_, p);
    p->room().notify_all();
    check_invariants();
    return lasts;
  }

  /// Until `poll` may have an event, or until the end.
  asio::awaitable<void> wait() { return available_.wait(); }

  void close() {
    closed_ = true;
    ready_.clear();
    peers_.clear();
    available_.notify_all();
  }

  /// Coroutines are destroyed with their context, which ends nothing.
  void handle_context_end(asio::execution_context&) noexcept override { context_ended_ = true; }

 private:
  /// A coroutine that has not come to its end.
  class unfinished {
   public:
    explicit unfinished(event_source& of) : of_(&of) {}
    unfinished(const unfinished&) = delete;
    unfinished& operator=(const unfinished&) = delete;
    ~unfinished() {
      if (of_ != nullptr) of_->handle_destroyed();
    }
    void finish() noexcept { of_ = nullptr; }

   private:
    event_source* of_;
  };

  static asio::awaitable<void> watch(std::shared_ptr<event_source> self,
                                     asio::awaitable<void> loop) {
    unfinished u(*self);
    try {
      co_await std::move(loop);
      u.finish();
    } catch (...) {
      u.finish();
      throw;
    }
  }

  void handle_destroyed() noexcept {
    if (closed_ || context_ended_) return;
    guard_.fail(std::make_exception_ptr(std::bad_alloc()));
  }

  static void tell_of_others(failure& why, std::uint64_t others) {
    if (others == 0) return;
    if (why.text.empty()) why.text = why.code.message();
    why.text += "; " + std::to_string(others) + " more were not reported";
  }

  void check_invariants() const {
    assert(ready_.size() <= peers_.size());
    assert(problems_.size() <= problem_limit);
    assert(!without_room_ || !has_room_for_problem());
    assert(ready_.empty() || (ready_.front()->is_ready && !ready_.front()->empty()));
  }

  asio::any_io_executor executor_;
  std::size_t receive_buffer_;
  failure_guard guard_;
  async_condition available_;
  map_by_id<std::shared_ptr<pending_events>> peers_;
  std::deque<std::shared_ptr<pending_events>> ready_;
  std::deque<encoded_event> problems_;
  std::optional<encoded_event> without_room_;  ///< the last problem that found no room
  std::uint64_t others_without_room_ = 0;
  std::map<std::error_code, refusal_limit> refusals_;  ///< of a few reasons
  bool closed_ = false;
  bool context_ended_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
