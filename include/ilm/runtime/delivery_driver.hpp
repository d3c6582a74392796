#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/outcome.hpp>
#include <ilm/printable.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/delivery_executor.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/part.hpp>
#include <ilm/runtime/send_driver.hpp>
#include <ilm/runtime/staged_sends.hpp>

#include <atomic>
#include <cassert>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Delivers messages to the application: one at a time for each peer, peers concurrently. The store
/// is in use while a call of the application runs: whatever ends the messenger, no successor on the
/// store begins a message before its call has ended here.
class delivery_driver {
 public:
  using owner = std::shared_ptr<engine>;

  delivery_driver(context& c, peers& all, dispatcher& d, send_driver& sends,
                  part<store_port>& store, std::unique_ptr<delivery_port> port)
      : context_(c),
        peers_(all),
        dispatcher_(d),
        sends_(sends),
        store_(store),
        transaction_(part<store_port>::use(store)->transaction()),
        port_(std::move(port)) {}

  void start(peer& p, owner keep) {
    delivery_executor executor(context_.strand, keep.get());
    context_.guard.spawn(asio::any_io_executor(std::move(executor)), keep, delivery_loop(keep, p),
                         p.stop_delivering.slot(), keep_until_end(p));
  }

  /// Whether the end of the calls under way does not depend on a reader.
  bool ends_by_itself() const noexcept { return !port_->waits_for_reader(); }

  /// Whether a call is under way.
  bool running() const noexcept { return in_use_.has_value(); }

  /// Cancels the calls under way.
  void cancel() {
    for (auto& [name, p] : peers_) {
      if (p->delivering) p->stop_delivering.emit(asio::cancellation_type::terminal);
    }
  }

  void stop() {
    for (auto& [name, p] : peers_) {
      p->deliver.notify();
      p->stop_delivering.emit(asio::cancellation_type::terminal);
    }
  }
  /// Destroys the coroutines that wait. Calls will never go on, though their frames may be kept by
  /// another context: the store is not kept for them.
  void abandon() {
    abandoned_ = true;
    free_store();
    for (auto& [name, p] : peers_) p->deliver.abandon();
  }

 private:
  /// A call of the application, in the frame of its coroutine. A frame that is destroyed ends it:
  /// another context, which the call waited for, may have ended.
  class call {
   public:
    call(delivery_driver& d, peer& p, const owner& self) : driver_(d), peer_(p), self_(self) {
      driver_.begin_call(peer_);
    }
    call(const call&) = delete;
    call& operator=(const call&) = delete;
    ~call() {
      if (!ended_) driver_.handle_destroyed(peer_, self_);
    }

    void end() {
      ended_ = true;
      driver_.end_call(peer_);
    }

   private:
    delivery_driver& driver_;
    peer& peer_;
    const owner& self_;
    bool ended_ = false;
  };

  asio::awaitable<void> delivery_loop(owner self, peer& p) {
    protocol::timestamp now = context_.now();
    for (unsigned count = 1; !context_.life.ended() && !p.removed(); ++count) {
      const stored_message* next = next_delivery(p, now);
      if (next == nullptr) {
        co_await p.deliver.wait();
        now = context_.now();
        continue;
      }
      std::shared_ptr<staged_sends> staged;
      std::optional<asio::awaitable<void>> running;
      outcome how;
      call under_way(*this, p, self);
      std::exception_ptr failed = begin_delivery(p, *next, self, staged, how, running);
      if (running) {
        failed = co_await outcome_of(std::move(*running));
        now = context_.now();
      }
      under_way.end();
      if (context_.life.ended()) {
        if (staged) {
          staged->end();
          staged->take_effects();
          tell(staged->take_waiting(), context_.life.refusal());
        }
        break;
      }
      // Calls that return at once share one reading of the clock.
      bool again = failed || how.is() == outcome::kind::retry;
      if (again) now = context_.now();
      bool is_void = p.core.delivery_is_void();
      handle_ended(p, failed, how, staged.get(), now);
      // The call may have been cancelled; the loop is not.
      if (is_void || p.forgetting() || context_.life.shutting_down()) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
      }
      if (p.forgetting()) handle_calmer(p);
      // Drain up to 64 deliveries before the others get their turn.
      if (again || !p.core.has_delivery(now) || count % deliveries_before_yield == 0) {
        dispatcher_.service(p);
        co_await p.deliver.wait_a_turn();
        now = context_.now();
      }
    }
  }

  /// What destroys the store may come here again.
  void free_store() { [[maybe_unused]] auto last = std::exchange(in_use_, std::nullopt); }
  void begin_call(peer& p) {
    if (!in_use_) in_use_.emplace(store_);
    peers_.set_delivering(p, true);
  }
  void end_call(peer& p) {
    peers_.set_delivering(p, false);
    context_.progress.notify();
    if (peers_.delivering() > 0) return;
    free_store();
    if (context_.life.ended()) context_.clock->wake();
  }

  /// From any thread.
  void handle_destroyed(peer& p, const owner& self) noexcept {
    if (abandoned_) return;
    try {
      // The engine must not live on in a handler of a context that is just being destroyed.
      auto go_on = [this, &p, engine = std::weak_ptr(self)] {
        owner alive = engine.lock();
        if (alive) context_.guard.run([&] { begin_again(p, alive); });
      };
      asio::post(context_.strand, std::move(go_on));
    } catch (...) {
      // Without memory, the stream stands still.
    }
  }

  /// The peer's coroutine was destroyed in a call: another one offers the message again.
  void begin_again(peer& p, const owner& self) {
    end_call(p);
    if (context_.life.ended()) return;
    std::system_error lost(asio::error::operation_aborted);
    handle_ended(p, std::make_exception_ptr(lost), {}, nullptr, context_.now());
    if (p.forgetting()) handle_calmer(p);
    dispatcher_.service(p);
    start(p, self);
  }

  void handle_calmer(peer& p) {
    peers_.list_calmer(p);
    context_.store_wake.notify();
  }

  const stored_message* next_delivery(peer& p, protocol::timestamp now) {
    if (!may_begin(p) || !p.core.has_delivery(now)) return nullptr;
    // The store would not take its sends.
    if (port_->takes_context() && commit_units<peer>::refusal(p)) return nullptr;
    if (port_->takes_context() && !context_.sends.has_room_for_deliveries()) {
      dispatcher_.wait_for_room(p);
      return nullptr;
    }
    return p.core.poll_delivery(now);
  }

  /// A shutdown begins no delivery, but of messages from a peer that has not confirmed all that was
  /// sent to it before: it may shut down as well, and wait for this side as this side waits for it.
  bool may_begin(const peer& p) const noexcept {
    if (!context_.life.delivers() || p.forgetting()) return false;
    if (!context_.life.shutting_down()) return true;
    bool present = p.core.state() != protocol::phase::absent;
    return present && p.core.delivered_by_peer() < p.last_before_shutdown;
  }

  /// Calls the application. The rest of the call, if there is one, is `running`.
  std::exception_ptr begin_delivery(peer& p, const stored_message& m, const owner& self,
                                    std::shared_ptr<staged_sends>& staged, outcome& how,
                                    std::optional<asio::awaitable<void>>& running) {
    if (std::exchange(p.offered, m.index) != m.index) p.attempts = 0;
    ++p.attempts;
    try {
      if (port_->takes_context()) {
        staged = std::make_shared<staged_sends>(self, sends_.maximum_message(), p.attempts,
                                                transaction_);
      }
      running = port_->deliver(*p.name, m, staged, how);
    } catch (...) {
      return std::current_exception();
    }
    return nullptr;
  }

  /// Apart from the loop, as `store_driver::open` is.
  static asio::awaitable<std::exception_ptr> outcome_of(asio::awaitable<void> running) {
    try {
      co_await std::move(running);
    } catch (...) {
      co_return std::current_exception();
    }
    co_return nullptr;
  }

  void handle_ended(peer& p, const std::exception_ptr& failed, const outcome& how,
                    staged_sends* staged, protocol::timestamp now) {
    assert(!p.delivering && !context_.life.ended());
    if (p.core.delivery_is_void()) return withdraw(p, staged, now);
    detail::failure reason = detail::failure_of(failed);
    bool postponed = !reason && how.is() == outcome::kind::retry;
    if (postponed) reason = {error::delivery_postponed, shown(how.reason())};
    if (staged != nullptr) reason = take_staged(p, *staged, std::move(reason));
    if (!reason) {
      if (how.is() == outcome::kind::skipped) p.core.handle_skipped(shown(how.reason()));
      ++p.consumed;
      context_.life.handle_consumed();
      p.core.handle_consumed(now, !p.pending.empty());
      // The next call may wait for long: the store learns of this one without it.
      peers_.list_changed(p);
      peers_.list_due(p);
      context_.store_wake.notify();
    } else if (p.forgetting()) {
      p.core.handle_delivery_withdrawn(now);
    } else if (!context_.life.delivers()) {
      return;
    } else if (postponed) {
      p.core.handle_delivery_postponed(reason, how.after(), now);
    } else {
      p.core.handle_delivery_failed(reason, now);
    }
  }

  static std::string shown(const std::string& reason) {
    return detail::printable_prefix(reason, detail::maximum_failure_text);
  }

  /// A message before this one comes again: nothing of the delivery counts.
  void withdraw(peer& p, staged_sends* staged, protocol::timestamp now) {
    if (staged != nullptr) {
      staged->end();
      staged->take_effects();
      tell(staged->take_waiting(), error::message_returned);
    }
    p.core.handle_delivery_withdrawn(now);
  }

  /// Accepts the sends and effects that were staged, unless the delivery failed for `reason`. Gives
  /// the reason for which it failed in the end.
  detail::failure take_staged(peer& p, staged_sends& staged, detail::failure reason) {
    std::vector<staged_sends::request> sends = staged.end();
    std::vector<staged_sends::consumed_handler> waiting = staged.take_waiting();
    p.attempts = staged.attempt();
    // The store will not know of what was consumed too late.
    if (!reason && p.forgetting()) reason = error::peer_forgotten;
    try {
      pending_consumption pending;
      pending.effects = staged.take_effects();
      if (!reason && !sends.empty()) {
        reason = sends_.accept_staged(p, std::move(sends), pending.sends);
      }
      if (!reason && (!pending.effects.empty() || !(p.pending.empty() || pending.sends.empty()))) {
        pending.at = p.core.next_place();
        pending.attempt = p.attempts;
        p.pending.push_back(std::move(pending));
      }
      if (!reason) {
        for (auto& done : waiting) p.consumptions.emplace(p.offered, std::move(done));
        waiting.clear();
      }
    } catch (...) {
      tell(std::move(waiting), detail::failure_of(std::current_exception()).code);
      throw;
    }
    tell(std::move(waiting), reason.code);
    return reason;
  }

  static void tell(std::vector<staged_sends::consumed_handler> waiting, std::error_code reason) {
    for (auto& done : waiting) {
      if (done) done(reason);
    }
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  send_driver& sends_;
  part<store_port>& store_;
  std::optional<part<store_port>::use> in_use_;  ///< while calls run
  const void* transaction_;                      ///< the tag of those that the store lends, if any
  std::unique_ptr<delivery_port> port_;
  std::atomic<bool> abandoned_ = false;
};

}  // namespace ilm::inline v0::runtime
