#pragma once

// The engine and its store: opening, group commit, pages.

#include <ilm/runtime/engine.hpp>

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::runtime {

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::open(engine_pointer self) {
  lookout here(*self);
  protocol::duration wait = self->options_.minimum_store_retry;
  while (!self->stopped_) {
    store_state<peer_id> state;
    std::exception_ptr failed;
    {
      use using_store(*self, self->store_users_);
      try {
        state = co_await self->backend_->open();
      } catch (...) {
        failed = std::current_exception();
      }
      if (!failed && !state.local) failed = co_await self->mint(state);
    }
    if (self->stopped_) break;
    if (!failed) {
      self->handle_opened(state);
      here.relieve();
      co_return;
    }
    self->handle_open_failed(code_of(failed));
    if (self->life_ != life::running) break;
    co_await self->pause(wait);
    wait = std::min(wait * 2, self->options_.maximum_store_retry);
  }
  self->end(self->open_error_);
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<std::exception_ptr> engine<Backend, Network, Delivery, Clock>::mint(
    store_state<peer_id>& state) {
  batch<peer_id> first;
  first.minted = random_.create_incarnation();
  std::exception_ptr failed;
  try {
    co_await backend_->commit(first);
    state.local = *first.minted;
  } catch (...) {
    failed = std::current_exception();
  }
  if (!failed) co_return failed;
  try {
    co_await backend_->close();
  } catch (...) {
    // The failure to store is what the caller has to hear of.
  }
  co_return failed;
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::handle_opened(const store_state<peer_id>& state) {
  opened_ = true;
  local_ = state.local;
  if (std::exchange(open_error_, {})) tell(event_kind::store_recovered);
  for (const auto& [id, stored] : state.peers) {
    try {
      add_peer(id, stored);
    } catch (...) {
      tell(event_kind::store_failed, code_of(std::current_exception()));
    }
  }
  engine_pointer self = this->shared_from_this();
  asio::co_spawn(strand_, commit_loop(self), asio::detached);
  asio::co_spawn(strand_, timer_loop(self), asio::detached);
  asio::co_spawn(strand_, receive_loop(self),
                 asio::bind_cancellation_slot(stop_receiving_.slot(), asio::detached));
  for (auto& [id, p] : peers_) service(*p);
  for (auto& request : std::exchange(before_open_, {})) request();
  admit_waiting();
  check_drained();
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::handle_open_failed(std::error_code why) {
  if (open_error_ != why) tell(event_kind::store_failed, why);
  open_error_ = why;
  admission_.fail_all(why);
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::commit_loop(engine_pointer self) {
  // A sender that awaits each send needs a few turns for the next one. Frames wait for it that
  // long, so that many messages share one; what is due to be stored does not wait at all.
  constexpr unsigned patience = 4;
  constexpr unsigned most_commits = 64;
  unsigned idle = 0;
  unsigned gathered = 0;
  while (!self->stopped_ && self->life_ != life::closing) {
    batch<peer_id> changes;
    if (self->throttle_.open(now()) && self->change_due() && self->collect(changes)) {
      co_await self->commit(changes);
      idle = 0;
      if (++gathered % most_commits == 0) self->service_committed();
    } else if (!self->committed_.empty() && idle < patience) {
      ++idle;
    } else if (!self->committed_.empty()) {
      self->service_committed();
      continue;
    } else {
      co_await self->commit_wake_.wait();
      continue;
    }
    co_await self->yield();
  }
  self->committing_ended_ = true;
  self->closing_wake_.notify();
}

template <class Backend, class Network, class Delivery, class Clock>
bool engine<Backend, Network, Delivery, Clock>::change_due() const {
  protocol::timestamp at = now();
  return std::any_of(dirty_.begin(), dirty_.end(),
                     [at](const peer_type* p) { return p->core.has_due_change(at); });
}

template <class Backend, class Network, class Delivery, class Clock>
bool engine<Backend, Network, Delivery, Clock>::collect(batch<peer_id>& into) {
  for (peer_type* p : std::exchange(dirty_, {})) {
    p->dirty = false;
    std::optional<protocol::store_change> change = p->core.poll_change(now());
    if (!change) continue;
    peer_change<peer_id>& entry = into.changes.emplace_back(p->id, change->next);
    entry.outbox = std::move(change->outbox);
    entry.inbox = std::move(change->inbox);
  }
  return !into.changes.empty();
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::commit(
    const batch<peer_id>& changes) {
  std::exception_ptr failed;
  committing_ = true;
  if (!committed_.empty()) {
    // Whoever waits for more to share its frame does not wait for a store that takes its time.
    asio::post(strand_, [self = this->shared_from_this()] {
      if (self->committing_) self->service_committed();
    });
  }
  {
    use using_store(*this, store_users_);
    try {
      co_await backend_->commit(changes);
    } catch (...) {
      failed = std::current_exception();
    }
  }
  committing_ = false;
  if (stopped_) co_return;
  settle(changes, failed ? code_of(failed) : std::error_code());
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::settle(const batch<peer_id>& changes,
                                                       std::error_code failed) {
  protocol::timestamp at = now();
  board_.count_commit(static_cast<bool>(failed));
  if (failed) {
    if (throttle_.fail(at, options_)) tell(event_kind::store_failed, failed);
    timer_->cancel();
  } else if (throttle_.succeed()) {
    tell(event_kind::store_recovered);
  }
  for (const peer_change<peer_id>& change : changes.changes) {
    peer_type& p = *peers_.at(change.peer);
    if (failed) {
      p.core.handle_commit_failed(failed, at);
    } else {
      p.core.handle_committed(at);
      p.accepted += change.outbox.size();
      if (!change.outbox.empty()) p.ages.add(change.outbox.back().sequence, at);
    }
    while (std::optional<protocol::send_result> r = p.core.poll_send_result()) {
      operation op = std::move(p.accepted_sends.front());
      p.accepted_sends.pop_front();
      admission_.left(op->contents.size());
      op->done(r->error, r->sequence);
    }
  }
  admit_waiting();
  bool enough = false;
  for (const peer_change<peer_id>& change : changes.changes) {
    peer_type& p = *peers_.at(change.peer);
    if (!std::exchange(p.committed, true)) committed_.push_back(&p);
    enough = enough || p.core.unsent_bytes() >= options_.frame_fill;
  }
  if (enough) service_committed();
  // The store is free again for whoever had to wait for it.
  for (peer_type* p : dirty_) arm(*p);
}

template <class Backend, class Network, class Delivery, class Clock>
void engine<Backend, Network, Delivery, Clock>::service_committed() {
  for (peer_type* p : std::exchange(committed_, {})) {
    p->committed = false;
    service(*p);
  }
}

template <class Backend, class Network, class Delivery, class Clock>
asio::awaitable<void> engine<Backend, Network, Delivery, Clock>::page(engine_pointer self,
                                                                      peer_type& p,
                                                                      protocol::page_request r) {
  std::vector<stored_message> found;
  std::exception_ptr failed;
  if (self->stopped_) co_return;
  {
    use using_store(*self, self->store_users_);
    try {
      page_limit limit(r.messages, r.bytes);
      found = co_await self->backend_->read(r.source(), p.id, r.from, limit);
    } catch (...) {
      failed = std::current_exception();
    }
  }
  if (self->stopped_) co_return;
  if (failed) {
    p.core.handle_page_failed(r, code_of(failed), now());
  } else {
    p.core.handle_page(r, found, now());
  }
  self->service(p);
}

}  // namespace ilm::runtime
