#pragma once

// The end of an engine: shutdown, and destruction, which is a crash.

#include <ilm/runtime/engine.hpp>

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::runtime {

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::shut_down(
    protocol::duration timeout, detail::completion<std::error_code, report_type> done) {
  if (life_ == life::ended) return done(end_error_, report_);
  shutdown_waiters_.push_back(std::move(done));
  shutdown_at_ =
      std::min(shutdown_at_, protocol::after(now(), std::max(timeout, protocol::duration::zero())));
  if (life_ == life::running) {
    life_ = life::draining;
    admission_.fail_all(error::shut_down);
    if (!opened_) {
      asio::co_spawn(strand_, give_up_opening(this->shared_from_this()), asio::detached);
    }
  }
  timer_->cancel();
  check_drained();
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::give_up_opening(
    engine_pointer self) {
  while (!self->opened_ && !self->stopped_ && now() < self->shutdown_at_) {
    self->timer_->expires_at(typename Clock::time_point(
        std::chrono::duration_cast<typename Clock::duration>(self->shutdown_at_)));
    std::error_code ignored;
    co_await self->timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
  if (self->opened_ || self->stopped_) co_return;
  self->end(self->open_error_ ? self->open_error_ : std::make_error_code(std::errc::timed_out));
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::stop() {
  if (std::exchange(stopped_, true)) return;
  life_ = life::ended;
  fail_requests(why_ended_);
  board_.show_end();
  timer_->cancel();
  commit_wake_.notify();
  closing_wake_.notify();
  for (auto& [id, p] : peers_) {
    p->write.notify();
    p->handover.notify();
    p->stop_writing.emit(asio::cancellation_type::terminal);
    p->stop_handover.emit(asio::cancellation_type::terminal);
  }
  stop_opening_.emit(asio::cancellation_type::terminal);
  stop_receiving_.emit(asio::cancellation_type::terminal);
  release();
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::abandon() {
  if (std::exchange(abandoned_, true)) return;
  stopped_ = true;
  network_.reset();
  timer_.reset();
  commit_wake_.abandon();
  closing_wake_.abandon();
  for (auto& [id, p] : peers_) {
    p->write.abandon();
    p->handover.abandon();
  }
  // Who waits for an answer holds the engine that would give it.
  std::exchange(before_open_, {}).clear();
  std::exchange(shutdown_waiters_, {}).clear();
  events_.abandon();
  admission_.abandon();
  intake_.clear();
  for (auto& [id, p] : peers_) {
    std::exchange(p->accepted_sends, {}).clear();
    std::exchange(p->receipts, {}).clear();
  }
}

template <class Backend, class Network, class Delivery, class Clock>
bool engine<Backend, Network, Delivery, Clock>::drained() const {
  return std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) {
    const peer_type& p = *entry.second;
    if (!p.accepted_sends.empty()) return false;
    if (p.handing && !waits_for_reader()) return false;
    return p.core.state() == protocol::phase::absent ||
           p.core.state() == protocol::phase::refused || p.core.outbox_depth() == 0;
  });
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::check_drained() {
  if (life_ != life::draining || !opened_) return;
  if (!drained() && now() < shutdown_at_) return;
  life_ = life::closing;
  shutdown_at_ = protocol::never;
  commit_wake_.notify();
  asio::co_spawn(strand_, close(this->shared_from_this()), asio::detached);
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::close(engine_pointer self) {
  while (!self->committing_ended_ && !self->stopped_) co_await self->closing_wake_.wait();
  self->service_committed();
  // What is with the application is taken now, or not at all: a taking after the last batch would
  // be forgotten. A call that ignores its cancellation gets a moment.
  self->closing_at_ = now() + std::chrono::milliseconds(200);
  self->timer_->cancel();
  for (auto& [id, p] : self->peers_) {
    if (p->handing) p->stop_handover.emit(asio::cancellation_type::terminal);
  }
  while (!self->stopped_ && self->handing_over() && now() < self->closing_at_) {
    co_await self->closing_wake_.wait();
  }
  // The last batch takes its time, in which a time that has passed would keep the timer spinning.
  self->closing_at_ = protocol::never;
  batch<peer_id> last;
  if (!self->stopped_ && self->collect(last)) co_await self->commit(last);
  if (self->stopped_) co_return;
  // A goodbye is a courtesy: it gets a moment, not more.
  self->closing_at_ = now() + std::chrono::milliseconds(200);
  self->timer_->cancel();
  for (auto& [id, p] : self->peers_) {
    p->core.handle_close();
    p->write.notify();
  }
  co_await self->yield();
  while (!self->stopped_ && self->saying_goodbye() && now() < self->closing_at_) {
    co_await self->closing_wake_.wait();
  }
  self->closing_at_ = protocol::never;
  if (self->stopped_) co_return;
  std::exception_ptr failed;
  {
    use using_store(*self, self->store_users_);
    try {
      co_await self->backend_->close();
    } catch (...) {
      failed = std::current_exception();
    }
  }
  self->end(failed ? code_of(failed) : std::error_code());
}

template <class Backend, class Network, class Delivery, class Clock>
bool engine<Backend, Network, Delivery, Clock>::saying_goodbye() const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [](const auto& entry) { return entry.second->writing; });
}

template <class Backend, class Network, class Delivery, class Clock>
bool engine<Backend, Network, Delivery, Clock>::handing_over() const {
  return std::any_of(peers_.begin(), peers_.end(),
                     [](const auto& entry) { return entry.second->handing; });
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::end(std::error_code failed) {
  if (stopped_) return;
  end_error_ = failed;
  for (const auto& [id, p] : peers_) {
    typename report_type::peer_counts counts;
    counts.peer = id;
    counts.delivered = p->core.delivered_by_peer() - p->delivered_at_open;
    counts.undelivered = p->core.outbox_depth();
    // What arrived after the last batch was gathered is not in the store: the peer sends it again.
    const cursors& stored = p->core.stored();
    counts.unread = stored.inbox_next - stored.inbox_first;
    report_.delivered += counts.delivered;
    report_.undelivered += counts.undelivered;
    report_.unread += counts.unread;
    report_.peers.push_back(counts);
  }
  for (auto& waiter : std::exchange(shutdown_waiters_, {})) waiter(failed, report_);
  why_ended_ = error::shut_down;
  stop();
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::fail_requests(std::error_code why) {
  admission_.fail_all(why);
  for (auto& [id, p] : peers_) {
    for (operation& op : std::exchange(p->accepted_sends, {})) op->done(why, 0);
    for (auto& [sequence, waiter] : std::exchange(p->receipts, {})) waiter.done(why);
  }
  for (auto& request : std::exchange(before_open_, {})) request();
  for (auto& waiter : std::exchange(shutdown_waiters_, {})) waiter(why, report_);
  events_.close(why);
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::release() {
  if (store_users_ == 0) backend_.reset();
  if (network_users_ == 0) network_.reset();
}

}  // namespace ilm::runtime
