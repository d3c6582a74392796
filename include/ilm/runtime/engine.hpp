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
#include <ilm/runtime/board.hpp>
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
#include <functional>
#include <map>
#include <memory>
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
    if (std::string wrong = validation_error(options_, frame_limit_); !wrong.empty()) {
      throw std::system_error(make_error_code(error::invalid_options), wrong);
    }
    maximum_message_ =
        std::min(options_.maximum_message_size, frame_limit_ - protocol::frame_overhead);
    epoch_ = random_.next_nonzero();
    self_bytes_ = id_bytes(self_);
  }

  void start() {
    asio::co_spawn(strand_, open(this->shared_from_this()),
                   asio::bind_cancellation_slot(stop_opening_.slot(), asio::detached));
  }

  const peer_id& self() const noexcept { return self_; }
  const asio::strand<asio::any_io_executor>& strand() const noexcept { return strand_; }
  std::uint64_t next_operation_id() noexcept { return ++operation_ids_; }

  // Requests, from any thread.

  void send(std::unique_ptr<send_type> op) {
    if (intake_.push(op.release())) {
      asio::dispatch(strand_, [self = this->shared_from_this()] { self->drain_intake(); });
    }
  }

  statistics_type read_statistics() const { return board_.read(now()); }

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

  void tell_pending(const peer_id& to, detail::completion<std::error_code, sequence_range> done) {
    if (life_ == life::ended) return done(error::shut_down, {});
    if (!opened_) {
      before_open_.push_back([this, to, d = std::make_shared<decltype(done)>(std::move(done))] {
        tell_pending(to, std::move(*d));
      });
      return;
    }
    auto at = peers_.find(to);
    if (at == peers_.end()) return done({}, {});
    const protocol::association& core = at->second->core;
    done({}, {core.delivered_by_peer() + 1, core.stored().outbox_next - 1});
  }

  void await_event(std::uint64_t id, typename event_queue<peer_id>::handler reader) {
    events_.read(id, std::move(reader));
  }

  void shut_down(protocol::duration timeout, detail::completion<std::error_code, report_type> done);

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
  void stop();

  /// Destroys the coroutines that wait inside, where no context will ever run them again.
  void abandon();

 private:
  /// Lies in the frame of a coroutine that waits for its context. A context that is destroyed
  /// destroys that frame, and tells nobody else.
  class lookout {
   public:
    explicit lookout(engine& e) : engine_(&e) {}
    lookout(const lookout&) = delete;
    lookout& operator=(const lookout&) = delete;
    ~lookout() {
      if (engine_ != nullptr && !engine_->stopped_) engine_->abandon();
    }
    void relieve() noexcept { engine_ = nullptr; }

   private:
    engine* engine_;
  };

  using engine_pointer = std::shared_ptr<engine>;
  using peer_type = peer<peer_id>;
  using operation = std::unique_ptr<send_type>;

  enum class life : std::uint8_t { running, draining, closing, ended };

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

  /// The peer, made if need be; null and the reason if its id cannot be one.
  peer_type* peer_of(const peer_id& id, std::error_code& unusable) {
    if (auto at = peers_.find(id); at != peers_.end()) return at->second.get();
    try {
      return &add_peer(id, cursors_of_stranger());
    } catch (...) {
      unusable = code_of(std::current_exception());
      return nullptr;
    }
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
    tell_events(p);
    settle_receipts(p);
    if (!p.writing && !p.committed) p.write.notify();
    if (p.core.has_delivery(now())) p.handover.notify();
    while (std::optional<protocol::page_request> r = p.core.poll_page(now())) {
      asio::co_spawn(strand_, page(this->shared_from_this(), p, *r), asio::detached);
    }
    if (!std::exchange(p.dirty, true)) dirty_.push_back(&p);
    if (p.core.has_due_change(now())) commit_wake_.notify();
    arm(p);
    publish(p);
    if (life_ == life::draining) check_drained();
  }

  void tell_events(peer_type& p) {
    while (std::optional<event_record> e = p.core.poll_event()) {
      events_.put(event_type(p.id, *e));
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
    protocol::timestamp at = p.core.deadline();
    if (at == protocol::never) return;
    // What is due already waits for a loop that is busy: look again soon, but do not spin.
    at = std::max(at, now() + std::chrono::milliseconds(1));
    deadlines_.arm(p, at);
    if (at < timer_at_) timer_->cancel();
  }

  void publish(const peer_type& p) {
    board_.show(p, now());
    show_waiting();
  }

  void show_waiting() {
    board_.show_waiting(admission_.messages(), admission_.bytes(), events_.lost());
  }

  // Sends.

  void drain_intake() {
    send_type* next = nullptr;
    for (send_type* op = intake_.take(); op != nullptr; op = next) {
      next = op->next;
      accept(operation(op));
    }
    show_waiting();
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
    std::error_code unusable;
    peer_type* p = peer_of(op->peer, unusable);
    if (p == nullptr) return op->done(unusable, 0);
    if (std::error_code refused = p->core.handle_send(protocol::send_id{op->id}, op->contents)) {
      return op->done(refused, 0);
    }
    admission_.entered(op->contents.size());
    p->accepted_sends.push_back(std::move(op));
    throttle_.release();
    want_commit(*p);
  }

  void want_commit(peer_type& p) {
    if (!std::exchange(p.dirty, true)) dirty_.push_back(&p);
    commit_wake_.notify();
  }

  void admit_waiting() {
    while (operation op = admission_.poll()) stage(std::move(op));
  }

  // The store.

  static asio::awaitable<void> open(engine_pointer self);

  /// Gives a new store its incarnation; closes it again if it does not take it.
  asio::awaitable<std::exception_ptr> mint(store_state<peer_id>& state);

  void handle_opened(const store_state<peer_id>& state);

  void handle_open_failed(std::error_code why);

  static asio::awaitable<void> commit_loop(engine_pointer self);

  bool change_due() const;

  /// Gathers the changes of all peers that have any.
  bool collect(batch<peer_id>& into);

  asio::awaitable<void> commit(const batch<peer_id>& changes);

  void settle(const batch<peer_id>& changes, std::error_code failed);

  void service_committed();

  static asio::awaitable<void> page(engine_pointer self, peer_type& p, protocol::page_request r);

  // The network.

  static asio::awaitable<void> receive_loop(engine_pointer self);

  void handle(const network_event<peer_id>& e);

  static asio::awaitable<void> write_loop(engine_pointer self, peer_type& p);

  // The application.

  static asio::awaitable<void> handover_loop(engine_pointer self, peer_type& p);

  // Time.

  static asio::awaitable<void> timer_loop(engine_pointer self);

  protocol::timestamp next_deadline() const noexcept;

  void handle_time();

  asio::awaitable<void> pause(protocol::duration wait);

  // The end.

  /// Ends a shutdown at its deadline if the store has not even opened.
  static asio::awaitable<void> give_up_opening(engine_pointer self);

  bool drained() const;

  static constexpr bool waits_for_reader() {
    if constexpr (requires { Delivery::waits_for_reader; }) {
      return Delivery::waits_for_reader;
    } else {
      return false;
    }
  }

  void check_drained();

  static asio::awaitable<void> close(engine_pointer self);

  bool saying_goodbye() const;

  bool handing_over() const;

  void end(std::error_code failed);

  void fail_requests(std::error_code why);

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

  void release();

  void tell(event_kind kind, std::error_code why = {}) {
    events_.put(event_type(std::nullopt, event_record(kind, why)));
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
  std::vector<peer_type*> committed_;
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
  asio::cancellation_signal stop_opening_;
  asio::cancellation_signal stop_receiving_;
  std::error_code open_error_;
  std::error_code end_error_;
  unsigned store_users_ = 0;
  unsigned network_users_ = 0;
  bool opened_ = false;
  bool committing_ = false;
  bool committing_ended_ = false;
  bool stopped_ = false;
  bool abandoned_ = false;

  board<peer_id> board_;
};

}  // namespace ilm::runtime

#include <ilm/runtime/engine_application.hpp>
#include <ilm/runtime/engine_end.hpp>
#include <ilm/runtime/engine_network.hpp>
#include <ilm/runtime/engine_store.hpp>
#include <ilm/runtime/engine_time.hpp>
