#pragma once

#include <ilm/backend.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/detail/intake.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/network.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/admission.hpp>
#include <ilm/runtime/deadlines.hpp>
#include <ilm/runtime/event_queue.hpp>
#include <ilm/runtime/peer.hpp>
#include <ilm/runtime/throttle.hpp>
#include <ilm/statistics.hpp>

#include <asio/redirect_error.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::runtime {

/// The coroutines around the protocol core. Each is a loop that obeys the core and does its I/O:
///
/// - `open`: opens the store, then starts the others
/// - `receive_loop`: network to core
/// - `commit_loop`: core to store, one batch at a time; what gathers meanwhile is the next batch
/// - `write_loop`, `handover_loop`: core to network and to the application, one each for a peer
/// - `page`: store to core, when the core asks for what is no longer in memory
/// - `timer_loop`: tells the core the time
///
/// All run on one strand, and own the engine while they run. `service` looks at a peer's outputs
/// after every input and wakes whom they concern.
template <class Backend, class Network, class Delivery, class Clock>
class engine : public std::enable_shared_from_this<engine<Backend, Network, Delivery, Clock>> {
 public:
  using peer_id = peer_id_of<Network>;
  using send_type = send_operation<peer_id>;
  using event_type = event<peer_id>;
  using report_type = shutdown_report<peer_id>;
  using statistics_type = messenger_statistics<peer_id>;

  engine(asio::any_io_executor executor, Backend backend, Network network, Delivery delivery,
         options o)
      : strand_(asio::make_strand(std::move(executor))),
        options_(std::move(o)),
        backend_(std::move(backend)),
        network_(std::move(network)),
        delivery_(std::move(delivery)),
        self_(network_->local_id()),
        frame_limit_(network_->maximum_frame_size()),
        random_(options_.seed ? *options_.seed : random_seed()),
        admission_(options_),
        events_(options_.event_limit),
        timer_(strand_),
        commit_wake_(strand_),
        closing_wake_(strand_) {
    if (std::string wrong = contradiction(options_, frame_limit_); !wrong.empty()) {
      throw std::system_error(make_error_code(error::invalid_options), wrong);
    }
    maximum_message_ = std::min(options_.maximum_message_size, frame_limit_ - frame_overhead());
    epoch_ = random_.next_nonzero();
    self_bytes_ = id_bytes(self_);
  }

  void start() { asio::co_spawn(strand_, open(this->shared_from_this()), asio::detached); }

  const peer_id& self() const noexcept { return self_; }
  const asio::strand<asio::any_io_executor>& strand() const noexcept { return strand_; }
  std::uint64_t next_operation_id() noexcept { return ++operation_ids_; }

  // Requests, from any thread.

  void send(std::unique_ptr<send_type> op) {
    if (intake_.push(op.release())) {
      asio::post(strand_, [self = this->shared_from_this()] { self->drain_intake(); });
    }
  }

  statistics_type read_statistics() const {
    protocol::timestamp at = now();
    std::lock_guard lock(published_mutex_);
    statistics_type s = published_;
    for (const auto& [id, shown] : published_peers_) {
      s.peers.push_back(shown.first);
      if (shown.first.outbox_depth > 0) s.peers.back().oldest_age = at - shown.second;
    }
    return s;
  }

  // Requests, on the strand.

  void await_delivered(const peer_id& to, std::uint64_t sequence, receipt waiter) {
    if (life_ == life::ended) return waiter.done(error::shut_down);
    if (!opened_) {
      // The answer is in the store.
      before_open_.push_back(
          [this, to, sequence, w = std::make_shared<receipt>(std::move(waiter))] {
            await_delivered(to, sequence, std::move(*w));
          });
      return;
    }
    auto at = peers_.find(to);
    if (at == peers_.end() || sequence == 0 || sequence >= at->second->core.stored().outbox_next) {
      return waiter.done(error::unknown_sequence);
    }
    if (sequence <= at->second->core.delivered_by_peer()) return waiter.done({});
    at->second->receipts.emplace(sequence, std::move(waiter));
  }

  void await_event(std::uint64_t id, typename event_queue<peer_id>::handler reader) {
    events_.read(id, std::move(reader));
  }

  void shut_down(protocol::duration timeout,
                 detail::completion<std::error_code, report_type> done) {
    if (life_ == life::ended) return done({}, report_);
    shutdown_waiters_.push_back(std::move(done));
    shutdown_at_ = std::min(shutdown_at_, protocol::after(now(), timeout));
    if (life_ == life::running) {
      life_ = life::draining;
      admission_.fail_all(error::shut_down);
    }
    timer_->cancel();
    check_drained();
  }

  void cancel(std::uint64_t id) {
    std::error_code aborted = asio::error::operation_aborted;
    if (admission_.cancel(id, aborted) || events_.cancel(id, aborted)) return;
    for (auto& [name, p] : peers_) {
      for (auto at = p->receipts.begin(); at != p->receipts.end(); ++at) {
        if (at->second.id != id) continue;
        receipt waiter = std::move(at->second);
        p->receipts.erase(at);
        return waiter.done(aborted);
      }
    }
  }

  /// Ends everything at once, as a crash would, but for the callers that wait: they are told.
  void stop() {
    if (std::exchange(stopped_, true)) return;
    life_ = life::ended;
    fail_requests(why_ended_);
    timer_->cancel();
    commit_wake_.notify();
    closing_wake_.notify();
    for (auto& [id, p] : peers_) {
      p->write.notify();
      p->handover.notify();
      p->stop_writing.emit(asio::cancellation_type::terminal);
      p->stop_handover.emit(asio::cancellation_type::terminal);
    }
    stop_receiving_.emit(asio::cancellation_type::terminal);
    release();
  }

  /// Destroys the coroutines that wait inside, where no context will ever run them again.
  void abandon() {
    stopped_ = true;
    network_.reset();
    timer_.reset();
    commit_wake_.abandon();
    closing_wake_.abandon();
    for (auto& [id, p] : peers_) {
      p->write.abandon();
      p->handover.abandon();
    }
  }

 private:
  using engine_pointer = std::shared_ptr<engine>;
  using peer_type = peer<peer_id>;
  using operation = std::unique_ptr<send_type>;

  enum class life : std::uint8_t { running, draining, closing, ended };

  static constexpr std::size_t frame_overhead() { return protocol::frame_overhead; }

  static std::uint64_t random_seed() {
    std::random_device device;
    return static_cast<std::uint64_t>(device()) << 32 | device();
  }

  static protocol::timestamp now() {
    return std::chrono::duration_cast<protocol::timestamp>(Clock::now().time_since_epoch());
  }

  static bytes id_bytes(const peer_id& id) {
    bytes encoded = encode(id);
    if (encoded.empty() || encoded.size() > protocol::maximum_peer_id_size) {
      throw std::system_error(error::invalid_peer_id);
    }
    return encoded;
  }

  static std::error_code code_of(std::exception_ptr failed) {
    try {
      std::rethrow_exception(std::move(failed));
    } catch (const std::system_error& e) {
      return e.code();
    } catch (...) {
      return std::make_error_code(std::errc::io_error);
    }
  }

  auto yield() { return asio::post(strand_, asio::use_awaitable); }

  // Peers.

  peer_type& peer_of(const peer_id& id) {
    auto at = peers_.find(id);
    return at != peers_.end() ? *at->second : add_peer(id, cursors_of_stranger());
  }

  cursors cursors_of_stranger() const {
    cursors c;
    c.local = local_;
    return c;
  }

  peer_type& add_peer(const peer_id& id, const cursors& stored) {
    protocol::association_setup setup;
    setup.local_id = self_bytes_;
    setup.peer_id = id_bytes(id);
    setup.epoch = epoch_;
    setup.seed = random_.next();
    setup.frame_limit = frame_limit_;
    setup.maximum_message = maximum_message_;
    setup.reliable = Network::reliable;
    auto made = std::make_unique<peer_type>(id, options_, std::move(setup), stored, strand_, now());
    peer_type& p = *made;
    peers_.emplace(id, std::move(made));
    engine_pointer self = this->shared_from_this();
    asio::co_spawn(strand_, write_loop(self, p),
                   asio::bind_cancellation_slot(p.stop_writing.slot(), asio::detached));
    asio::co_spawn(strand_, handover_loop(self, p),
                   asio::bind_cancellation_slot(p.stop_handover.slot(), asio::detached));
    publish(p);
    return p;
  }

  /// Passes on what the core put out after an input.
  void service(peer_type& p) {
    tell_notices(p);
    settle_receipts(p);
    if (!p.writing) p.write.notify();
    if (!p.handing && p.core.poll_delivery() != nullptr && p.retry_handover_at == protocol::never) {
      p.handover.notify();
    }
    if (!p.paging && p.retry_page_at == protocol::never &&
        (p.core.poll_outbox_page() || p.core.poll_inbox_page())) {
      p.paging = true;
      asio::co_spawn(strand_, page(this->shared_from_this(), p), asio::detached);
    }
    if (!std::exchange(p.dirty, true)) dirty_.push_back(&p);
    if (p.core.change_due(now())) commit_wake_.notify();
    arm(p);
    publish(p);
    if (life_ == life::draining) check_drained();
  }

  void tell_notices(peer_type& p) {
    while (std::optional<protocol::notice> n = p.core.poll_notice()) {
      events_.put(event_type(p.id, *n));
    }
  }

  void settle_receipts(peer_type& p) {
    std::uint64_t delivered = p.core.delivered_by_peer();
    p.ages.erase_to(delivered);
    while (!p.receipts.empty() && p.receipts.begin()->first <= delivered) {
      p.receipts.begin()->second.done({});
      p.receipts.erase(p.receipts.begin());
    }
  }

  void arm(peer_type& p) {
    bool store_ready = !committing_ && throttle_.open(now());
    protocol::timestamp at =
        std::min({p.core.deadline(store_ready), p.retry_handover_at, p.retry_page_at});
    if (at == protocol::never) return;
    // What is due already waits for a loop that is busy: look again soon, but do not spin.
    at = std::max(at, now() + std::chrono::milliseconds(1));
    deadlines_.arm(p, at);
    if (at < timer_at_) timer_->cancel();
  }

  void publish(const peer_type& p) {
    const protocol::association& core = p.core;
    protocol::timestamp at = now();
    std::lock_guard lock(published_mutex_);
    auto& [s, since] = published_peers_[p.id];
    s.peer = p.id;
    s.connected = core.state() == protocol::phase::established;
    s.outbox_depth = core.outbox_depth();
    s.inbox_depth = core.inbox_depth();
    s.in_flight = core.in_flight();
    s.round_trip = core.rtt();
    s.accepted = p.accepted;
    s.delivered = core.delivered_by_peer() - p.delivered_at_open;
    s.received = p.taken;
    s.resent = core.resent();
    s.duplicates_dropped = core.duplicates();
    s.frames_sent = p.frames_sent;
    s.frames_received = p.frames_received;
    s.frames_stale = core.stale_frames();
    s.frames_rejected = core.rejected_frames();
    since = at - p.ages.oldest(at);
    published_.uncommitted_messages = admission_.messages();
    published_.uncommitted_bytes = admission_.bytes();
    published_.events_lost = events_.lost();
  }

  // Sends.

  void drain_intake() {
    send_type* next = nullptr;
    for (send_type* op = intake_.take(); op != nullptr; op = next) {
      next = op->next;
      accept(operation(op));
    }
    std::lock_guard lock(published_mutex_);
    published_.uncommitted_messages = admission_.messages();
    published_.uncommitted_bytes = admission_.bytes();
  }

  void accept(operation op) {
    if (life_ != life::running) {
      op->done(life_ == life::ended ? why_ended_ : error::shut_down, 0);
    } else if (open_error_) {
      op->done(open_error_, 0);
    } else if (op->peer == self_) {
      op->done(error::send_to_self, 0);
    } else if (op->contents.size() > maximum_message_) {
      op->done(error::message_too_large, 0);
    } else if (opened_ && admission_.has_room(op)) {
      stage(std::move(op));
    } else if (!op->wait) {
      op->done(error::would_block, 0);
    } else {
      admission_.wait(std::move(op));
    }
  }

  void stage(operation op) {
    peer_type* p = nullptr;
    try {
      p = &peer_of(op->peer);
    } catch (const std::system_error& e) {
      return op->done(e.code(), 0);
    }
    if (std::error_code refused = p->core.handle_send(op->contents)) return op->done(refused, 0);
    admission_.entered(op->contents.size());
    p->staged.push_back(std::move(op));
    throttle_.release();
    if (!std::exchange(p->dirty, true)) dirty_.push_back(p);
    commit_wake_.notify();
  }

  void admit_waiting() {
    while (operation op = admission_.poll()) stage(std::move(op));
  }

  // The store.

  static asio::awaitable<void> open(engine_pointer self) {
    protocol::duration wait = self->options_.minimum_store_retry;
    while (!self->stopped_) {
      store_state<peer_id> state;
      std::exception_ptr failed;
      {
        use using_store(*self, self->store_users_);
        try {
          state = co_await self->backend_->open();
          if (!state.local) {
            batch<peer_id> first;
            first.minted = self->random_.mint();
            state.local = *first.minted;
            co_await self->backend_->commit(first);
          }
        } catch (...) {
          failed = std::current_exception();
        }
      }
      if (self->stopped_) break;
      if (!failed) {
        self->handle_opened(state);
        co_return;
      }
      self->handle_open_failed(code_of(failed));
      if (self->life_ != life::running) break;
      co_await self->pause(wait);
      wait = std::min(wait * 2, self->options_.maximum_store_retry);
    }
    self->end({});
  }

  void handle_opened(const store_state<peer_id>& state) {
    opened_ = true;
    local_ = state.local;
    if (std::exchange(open_error_, {})) tell(event_kind::store_recovered);
    for (const auto& [id, stored] : state.peers) add_peer(id, stored);
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

  void handle_open_failed(std::error_code why) {
    if (open_error_ != why) tell(event_kind::store_failed, why);
    open_error_ = why;
    admission_.fail_all(why);
  }

  static asio::awaitable<void> commit_loop(engine_pointer self) {
    while (!self->stopped_ && self->life_ != life::closing) {
      batch<peer_id> changes;
      if (!self->throttle_.open(now()) || !self->change_due() || !self->collect(changes)) {
        co_await self->commit_wake_.wait();
        continue;
      }
      co_await self->commit(changes);
      // Lets others fill the next batch.
      co_await self->yield();
    }
    self->committing_ended_ = true;
    self->closing_wake_.notify();
  }

  bool change_due() const {
    protocol::timestamp at = now();
    return std::any_of(dirty_.begin(), dirty_.end(),
                       [at](const peer_type* p) { return p->core.change_due(at); });
  }

  /// Gathers the changes of all peers that have any.
  bool collect(batch<peer_id>& into) {
    for (peer_type* p : std::exchange(dirty_, {})) {
      p->dirty = false;
      std::optional<protocol::store_change> change = p->core.poll_change();
      if (!change) continue;
      peer_change<peer_id>& entry = into.changes.emplace_back(p->id, change->next);
      entry.outbox = std::move(change->outbox);
      entry.inbox = std::move(change->inbox);
      p->riding = std::exchange(p->staged, {});
    }
    return !into.changes.empty();
  }

  asio::awaitable<void> commit(const batch<peer_id>& changes) {
    std::exception_ptr failed;
    committing_ = true;
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

  void settle(const batch<peer_id>& changes, std::error_code failed) {
    protocol::timestamp at = now();
    {
      std::lock_guard lock(published_mutex_);
      ++(failed ? published_.commits_failed : published_.commits);
    }
    if (failed) {
      if (throttle_.fail(at, options_)) tell(event_kind::store_failed, failed);
      timer_->cancel();
    } else if (throttle_.succeed()) {
      tell(event_kind::store_recovered);
    }
    for (const peer_change<peer_id>& change : changes.changes) {
      peer_type& p = *peers_.at(change.peer);
      if (failed) {
        p.core.handle_commit_failed(at);
      } else {
        p.core.handle_committed(change.outbox, at);
        p.accepted += change.outbox.size();
        if (!change.outbox.empty()) p.ages.add(change.outbox.back().sequence, at);
      }
      std::uint64_t sequence = failed || change.outbox.empty() ? 0 : change.outbox.front().sequence;
      for (operation& op : std::exchange(p.riding, {})) {
        admission_.left(op->contents.size());
        op->done(failed, failed ? 0 : sequence++);
      }
    }
    admit_waiting();
    for (const peer_change<peer_id>& change : changes.changes) service(*peers_.at(change.peer));
    for (peer_type* p : dirty_) arm(*p);
  }

  static asio::awaitable<void> page(engine_pointer self, peer_type& p) {
    std::exception_ptr failed;
    for (box which : {box::outbox, box::inbox}) {
      std::optional<protocol::page_request> r =
          which == box::outbox ? p.core.poll_outbox_page() : p.core.poll_inbox_page();
      if (!r || failed || self->stopped_) continue;
      std::vector<stored_message> found;
      {
        use using_store(*self, self->store_users_);
        try {
          page_limit limit(r->messages, r->bytes);
          found = co_await self->backend_->read(which, p.id, r->from, limit);
        } catch (...) {
          failed = std::current_exception();
        }
      }
      if (failed) continue;
      if (which == box::outbox) {
        p.core.handle_outbox_page(found, now());
      } else {
        p.core.handle_inbox_page(found);
      }
      std::optional<protocol::page_request> again =
          which == box::outbox ? p.core.poll_outbox_page() : p.core.poll_inbox_page();
      if (again && again->from == r->from) {
        failed = std::make_exception_ptr(std::system_error(error::store_corrupt));
      }
    }
    p.paging = false;
    if (self->stopped_) co_return;
    if (failed) {
      self->events_.put(
          event_type(p.id, protocol::notice(event_kind::store_failed, code_of(failed))));
      p.page_backoff = std::clamp(p.page_backoff * 2, self->options_.minimum_store_retry,
                                  self->options_.maximum_store_retry);
      p.retry_page_at = now() + p.page_backoff;
    } else {
      p.page_backoff = {};
    }
    self->service(p);
  }

  // The network.

  static asio::awaitable<void> receive_loop(engine_pointer self) {
    std::exception_ptr failed;
    {
      use using_network(*self, self->network_users_);
      try {
        for (unsigned count = 1; !self->stopped_; ++count) {
          network_event<peer_id> e = co_await self->network_->receive();
          if (self->stopped_) break;
          self->handle(e);
          // A network that always has something must not starve the rest.
          if (count % 8 == 0) co_await self->yield();
        }
      } catch (...) {
        failed = std::current_exception();
      }
    }
    if (self->stopped_ || !failed) co_return;
    self->tell(event_kind::network_ended, code_of(failed));
    for (auto& [id, p] : self->peers_) {
      p->core.handle_session_down();
      self->service(*p);
    }
  }

  void handle(const network_event<peer_id>& e) {
    if (e.peer == self_) return;
    peer_type& p = peer_of(e.peer);
    using type = typename network_event<peer_id>::type;
    switch (e.kind) {
      case type::up:
        p.core.handle_session_up(now());
        break;
      case type::down:
        p.core.handle_session_down();
        break;
      case type::frame:
        ++p.frames_received;
        p.core.handle_frame(e.bytes, now());
        break;
    }
    service(p);
  }

  static asio::awaitable<void> write_loop(engine_pointer self, peer_type& p) {
    std::size_t usual = 0;
    while (!self->stopped_) {
      std::vector<std::byte> frame;
      frame.reserve(usual);
      if (!p.core.poll_frame(frame, now())) {
        self->tell_notices(p);
        self->publish(p);
        self->closing_wake_.notify();
        co_await p.write.wait();
        continue;
      }
      usual = frame.size();
      ++p.frames_sent;
      p.writing = true;
      self->arm(p);
      bool failed = false;
      {
        use using_network(*self, self->network_users_);
        try {
          co_await self->network_->send(p.id, std::move(frame));
        } catch (...) {
          failed = true;
        }
      }
      p.writing = false;
      if (self->stopped_) break;
      if (failed && Network::reliable) {
        p.core.handle_session_down();
        self->service(p);
      }
    }
  }

  // The application.

  static asio::awaitable<void> handover_loop(engine_pointer self, peer_type& p) {
    protocol::duration wait{};
    for (unsigned count = 1; !self->stopped_; ++count) {
      const stored_message* next = p.core.poll_delivery();
      if (next == nullptr || self->life_ == life::closing ||
          p.retry_handover_at != protocol::never) {
        co_await p.handover.wait();
        continue;
      }
      message<peer_id> m(p.id, next->sequence, next->contents);
      p.handing = true;
      std::exception_ptr failed;
      try {
        using result = std::invoke_result_t<Delivery&, message<peer_id>>;
        if constexpr (std::is_void_v<result>) {
          self->delivery_(std::move(m));
        } else {
          co_await self->delivery_(std::move(m));
        }
      } catch (...) {
        failed = std::current_exception();
      }
      p.handing = false;
      if (self->stopped_) break;
      if (!failed) {
        wait = {};
        ++p.taken;
        p.core.handle_taken();
      } else {
        wait = std::clamp(wait * 2, self->options_.minimum_redelivery_delay,
                          self->options_.maximum_redelivery_delay);
        self->handle_delivery_failed(p, code_of(failed), wait);
      }
      // All that is here goes before the rest of the world hears of it, within reason.
      if (p.core.poll_delivery() == nullptr || failed || count % 256 == 0) {
        self->service(p);
        co_await self->yield();
      }
    }
  }

  void handle_delivery_failed(peer_type& p, std::error_code why, protocol::duration wait) {
    protocol::notice n(event_kind::delivery_failed, why);
    std::uint64_t sequence = p.core.poll_delivery()->sequence;
    n.inbound = sequence_range{sequence, sequence};
    events_.put(event_type(p.id, n));
    p.retry_handover_at = now() + wait;
  }

  // Time.

  static asio::awaitable<void> timer_loop(engine_pointer self) {
    while (!self->stopped_) {
      self->timer_at_ = self->next_deadline();
      self->timer_->expires_at(typename Clock::time_point(
          std::chrono::duration_cast<typename Clock::duration>(self->timer_at_)));
      std::error_code ignored;
      co_await self->timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (self->stopped_) break;
      self->handle_time();
    }
  }

  protocol::timestamp next_deadline() const noexcept {
    return std::min({deadlines_.earliest(), throttle_.until(), shutdown_at_, closing_at_});
  }

  void handle_time() {
    protocol::timestamp at = now();
    while (peer_type* p = deadlines_.take_due(at)) {
      p->core.handle_timeout(at);
      if (p->retry_handover_at <= at) p->retry_handover_at = protocol::never;
      if (p->retry_page_at <= at) p->retry_page_at = protocol::never;
      service(*p);
    }
    if (throttle_.expire(at)) commit_wake_.notify();
    if (closing_at_ <= at) closing_wake_.notify();
    check_drained();
  }

  asio::awaitable<void> pause(protocol::duration wait) {
    pause_until_ = Clock::now() + std::chrono::duration_cast<typename Clock::duration>(wait);
    while (!stopped_ && life_ == life::running && Clock::now() < pause_until_) {
      timer_->expires_at(pause_until_);
      std::error_code ignored;
      co_await timer_->async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }
  }

  // The end.

  bool drained() const {
    return std::all_of(peers_.begin(), peers_.end(), [](const auto& entry) {
      const peer_type& p = *entry.second;
      if (!p.staged.empty() || !p.riding.empty()) return false;
      if (p.handing && !waits_for_reader()) return false;
      return p.core.state() == protocol::phase::absent ||
             p.core.state() == protocol::phase::refused || p.core.outbox_depth() == 0;
    });
  }

  static constexpr bool waits_for_reader() {
    if constexpr (requires { Delivery::waits_for_reader; }) {
      return Delivery::waits_for_reader;
    } else {
      return false;
    }
  }

  void check_drained() {
    if (life_ != life::draining || !opened_) return;
    if (!drained() && now() < shutdown_at_) return;
    life_ = life::closing;
    shutdown_at_ = protocol::never;
    commit_wake_.notify();
    asio::co_spawn(strand_, close(this->shared_from_this()), asio::detached);
  }

  static asio::awaitable<void> close(engine_pointer self) {
    while (!self->committing_ended_ && !self->stopped_) co_await self->closing_wake_.wait();
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

  bool saying_goodbye() const {
    return std::any_of(peers_.begin(), peers_.end(),
                       [](const auto& entry) { return entry.second->writing; });
  }

  void end(std::error_code failed) {
    if (stopped_) return;
    for (const auto& [id, p] : peers_) {
      typename report_type::peer_counts counts;
      counts.peer = id;
      counts.delivered = p->core.delivered_by_peer() - p->delivered_at_open;
      counts.undelivered = p->core.outbox_depth();
      counts.unread = p->core.inbox_depth();
      report_.delivered += counts.delivered;
      report_.undelivered += counts.undelivered;
      report_.unread += counts.unread;
      report_.peers.push_back(counts);
    }
    for (auto& waiter : std::exchange(shutdown_waiters_, {})) waiter(failed, report_);
    why_ended_ = error::shut_down;
    stop();
  }

  void fail_requests(std::error_code why) {
    admission_.fail_all(why);
    for (auto& [id, p] : peers_) {
      for (operation& op : std::exchange(p->staged, {})) op->done(why, 0);
      for (operation& op : std::exchange(p->riding, {})) op->done(why, 0);
      for (auto& [sequence, waiter] : std::exchange(p->receipts, {})) waiter.done(why);
    }
    for (auto& request : std::exchange(before_open_, {})) request();
    for (auto& waiter : std::exchange(shutdown_waiters_, {})) waiter(why, report_);
    events_.close(why);
  }

  /// Counts who is inside a part, and destroys the part after the last one when all has ended, so
  /// that the store and the place in the network are free for a successor.
  class use {
   public:
    use(engine& owner, unsigned& users) : owner_(owner), users_(users) { ++users_; }
    use(const use&) = delete;
    use& operator=(const use&) = delete;
    ~use() {
      --users_;
      if (owner_.stopped_) owner_.release();
    }

   private:
    engine& owner_;
    unsigned& users_;
  };

  void release() {
    if (store_users_ == 0) backend_.reset();
    if (network_users_ == 0) network_.reset();
  }

  void tell(event_kind kind, std::error_code why = {}) {
    events_.put(event_type(std::nullopt, protocol::notice(kind, why)));
  }

  asio::strand<asio::any_io_executor> strand_;
  options options_;
  std::optional<Backend> backend_;
  std::optional<Network> network_;
  Delivery delivery_;
  peer_id self_;
  std::size_t frame_limit_;
  std::size_t maximum_message_ = 0;
  protocol::random_source random_;
  std::uint64_t epoch_ = 0;
  bytes self_bytes_;
  incarnation local_;

  std::map<peer_id, std::unique_ptr<peer_type>> peers_;
  std::vector<peer_type*> dirty_;
  detail::intake<send_type> intake_;
  admission<peer_id> admission_;
  std::vector<std::function<void()>> before_open_;
  event_queue<peer_id> events_;
  std::atomic<std::uint64_t> operation_ids_{0};

  std::optional<typename timer_of<Clock>::type> timer_;
  protocol::timestamp timer_at_ = protocol::never;
  typename Clock::time_point pause_until_{};
  deadlines<peer_type> deadlines_;
  throttle throttle_;
  detail::wakeup commit_wake_;

  life life_ = life::running;
  std::error_code why_ended_ = asio::error::operation_aborted;
  std::vector<detail::completion<std::error_code, report_type>> shutdown_waiters_;
  report_type report_;
  protocol::timestamp shutdown_at_ = protocol::never;
  protocol::timestamp closing_at_ = protocol::never;
  detail::wakeup closing_wake_;
  asio::cancellation_signal stop_receiving_;
  std::error_code open_error_;
  unsigned store_users_ = 0;
  unsigned network_users_ = 0;
  bool opened_ = false;
  bool committing_ = false;
  bool committing_ended_ = false;
  bool stopped_ = false;

  mutable std::mutex published_mutex_;
  statistics_type published_;
  std::map<peer_id, std::pair<peer_statistics<peer_id>, protocol::timestamp>> published_peers_;
};

}  // namespace ilm::runtime
