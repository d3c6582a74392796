#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/error.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/runtime/clock_adapter.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/delivery_driver.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/early_requests.hpp>
#include <ilm/runtime/engine.hpp>
#include <ilm/runtime/forget_driver.hpp>
#include <ilm/runtime/network_driver.hpp>
#include <ilm/runtime/peers.hpp>
#include <ilm/runtime/send_driver.hpp>
#include <ilm/runtime/shutdown_driver.hpp>
#include <ilm/runtime/store_driver.hpp>
#include <ilm/runtime/system_entropy.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

static_assert(maximum_id_size == protocol::maximum_peer_id_size);

/// The engine: the coroutines around the protocol's core, on one strand. Each is a loop that does
/// the I/O for decisions of the core, the lifecycle and the commit scheduler:
///
/// - store_driver: opens the store; core to store, one batch at a time; store to core, in pages
/// - network_driver: network to core; core to network
/// - delivery_driver: core to application
/// - shutdown_driver: the end
///
/// The shell owns and wires them, and tells them the time. Every coroutine keeps it alive.
class shell final : public engine, public std::enable_shared_from_this<shell> {
 public:
  /// The settings must have been checked.
  explicit shell(engine_parts parts) : shell(std::move(parts), protocol::association_setup()) {}

  void start() override {
    auto step = [weak = weak_from_this()](void (*of)(shell&)) {
      return [weak, of] {
        auto s = weak.lock();
        if (s) s->context_.guard.run([&] { of(*s); });
      };
    };
    context_.turns->set_steps(step([](shell& s) { s.sends_.accept_submitted(); }),
                              step([](shell& s) { s.store_.handle_turn_end(); }),
                              step([](shell&) { throw; }));
    // The timer first: from then on, a context that is destroyed ends the engine.
    context_.guard.spawn(context_.strand, shared_from_this(), timer_loop());
  }

  void open() override {
    asio::dispatch(context_.strand,
                   context_.guard.wrap(shared_from_this(), [](shell& s) { s.open_once(); }));
  }

  void send(std::unique_ptr<send_request> request) override {
    if (!sends_.submit(std::move(request))) return;
    try {
      context_.turns->request(shared_from_this());
    } catch (...) {
      sends_.fail_submitted(detail::failure_of(std::current_exception()).code);
    }
  }

  void wait_delivered(std::unique_ptr<delivered_request> request) override {
    post(std::move(request), [](shell& s, auto& r) { s.answer(r); });
  }

  void undelivered(std::unique_ptr<undelivered_request> request) override {
    post(std::move(request), [](shell& s, auto& r) { s.answer(r); });
  }

  void forget(std::unique_ptr<forget_request> request) override {
    post(std::move(request), [](shell& s, auto& r) { s.answer(r); });
  }

  void connected(std::unique_ptr<connected_request> request) override {
    post(std::move(request), [](shell& s, auto& r) { s.dispatcher_.wait_connected(r); });
  }

  void next_event(std::uint64_t operation, event_queue::handler done) override {
    asio::post(
        context_.strand,
        context_.guard.wrap(shared_from_this(), [operation, d = std::move(done)](shell& s) mutable {
          try {
            s.context_.events.read(operation, d, s.context_.now());
          } catch (...) {
            if (!d) throw;
            d(detail::failure_of(std::current_exception()).code, {});
          }
        }));
  }

  void watch_events(event_queue::watcher w) override {
    auto watch = [watcher = std::move(w)](shell& s) mutable {
      if (!s.context_.life.retired()) s.context_.events.watch(std::move(watcher));
    };
    asio::dispatch(context_.strand, context_.guard.wrap(shared_from_this(), std::move(watch)));
  }

  void return_event(named_event e) override {
    asio::post(context_.strand,
               context_.guard.wrap(shared_from_this(), [back = std::move(e)](shell& s) mutable {
                 s.context_.events.put_back(std::move(back));
               }));
  }

  void shutdown(std::chrono::nanoseconds timeout, shutdown_driver::handler done) override {
    asio::post(
        context_.strand,
        context_.guard.wrap(shared_from_this(), [timeout, d = std::move(done)](shell& s) mutable {
          // The caller waits before anything may fail.
          s.shutdown_.wait(d);
          s.open_once();
          s.shutdown_.start(timeout, s.shared_from_this());
        }));
  }

  void cancel(std::uint64_t operation) override {
    asio::post(context_.strand, context_.guard.wrap(shared_from_this(), [operation](shell& s) {
      std::error_code aborted = asio::error::operation_aborted;
      context& c = s.context_;
      if (c.sends.cancel(operation, aborted) || c.events.cancel(operation, aborted)) return;
      if (s.early_.cancel(operation, aborted)) return;
      s.dispatcher_.cancel(operation, aborted);
    }));
  }

  named_statistics statistics() const override { return context_.board.read(context_.now()); }

  void stop() override { asio::post(context_.strand, stopper(shared_from_this())); }

  const asio::any_io_executor& executor() const noexcept override { return context_.strand; }
  std::uint64_t next_operation() noexcept override { return ++operations_; }

 private:
  /// Posted to the strand when the messenger is destroyed. If no context will ever run it, then its
  /// own destruction ends the engine.
  class stopper {
   public:
    explicit stopper(std::shared_ptr<shell> s) : shell_(std::move(s)) {}
    stopper(stopper&&) noexcept = default;
    ~stopper() {
      if (shell_) shell_->abandon();
    }
    void operator()() {
      std::shared_ptr<shell> s = std::exchange(shell_, nullptr);
      // One that lingers ends when the calls do for which it does.
      if (!s->context_.life.lingers()) s->end(asio::error::operation_aborted);
    }

   private:
    std::shared_ptr<shell> shell_;
  };

  /// Lies in the frame of a coroutine that waits for its context. A context that is destroyed
  /// destroys that frame, and tells nobody else.
  class lookout {
   public:
    explicit lookout(shell& s) : shell_(s) {}
    lookout(const lookout&) = delete;
    lookout& operator=(const lookout&) = delete;
    ~lookout() {
      if (watching_) shell_.abandon();
    }

    void end() noexcept { watching_ = false; }

   private:
    shell& shell_;
    bool watching_ = true;
  };

  shell(engine_parts parts, protocol::association_setup setup)
      : names_(std::move(parts.names)),
        entropy_(parts.settings.seed),
        random_(entropy_.next()),
        context_(parts.executor, std::move(parts.settings), clock_of(parts),
                 [this](const std::exception_ptr& thrown) { fail(thrown); }),
        peers_(context_.settings, *context_.turns, complete(std::move(setup), parts), random_,
               context_.board, *names_, [this](peer& p) { start(p); }),
        local_(parts.local),
        dispatcher_(context_, peers_, *parts.local),
        sends_(context_, peers_, dispatcher_, *parts.local,
               maximum_message(*parts.network, context_.settings)),
        forgets_(context_, peers_, dispatcher_, sends_),
        store_(
            context_, peers_, dispatcher_, sends_, forgets_, *parts.local, std::move(parts.store),
            [this] { handle_opened(); },
            [this](std::error_code reason) { handle_open_failed(reason); }),
        network_(context_, peers_, dispatcher_, *parts.local, std::move(parts.network)),
        delivery_(context_, peers_, dispatcher_, sends_, store_.store(), std::move(parts.delivery)),
        shutdown_(
            context_, peers_, dispatcher_, sends_, forgets_, store_, network_, delivery_,
            [this] { retire(error::shut_down); }, [this] { end(error::shut_down); }) {}

  static std::unique_ptr<clock_port> clock_of(engine_parts& parts) {
    if (parts.clock) return std::move(parts.clock);
    return std::make_unique<clock_adapter<std::chrono::steady_clock>>(parts.executor);
  }

  static std::size_t frame_limit(const network_port& network) {
    return std::min(network.maximum_frame_size(), protocol::largest_frame);
  }
  static std::size_t maximum_message(const network_port& network, const options& o) {
    return std::min(o.maximum_message_size, frame_limit(network) - protocol::frame_overhead);
  }

  protocol::association_setup complete(protocol::association_setup setup,
                                       const engine_parts& parts) {
    setup.local_id = parts.local->encoded();
    setup.entropy = &entropy_;
    setup.frame_limit = frame_limit(*parts.network);
    setup.maximum_message = maximum_message(*parts.network, context_.settings);
    setup.support = context_.settings.support;
    setup.reliable = parts.network->reliable();
    return setup;
  }

  /// Calls `function(shell&, request)` on the strand. An exception that comes before the request is
  /// taken concerns it alone.
  template <class Request, class Function>
  void post(std::unique_ptr<Request> request, Function function) {
    auto answer = [function, r = std::move(request)](shell& s) mutable {
      if (std::error_code refused = s.refusal()) return r->fail(refused);
      try {
        function(s, r);
      } catch (...) {
        if (!r) throw;
        r->fail(detail::failure_of(std::current_exception()).code);
      }
    };
    asio::post(context_.strand, context_.guard.wrap(shared_from_this(), std::move(answer)));
  }

  void start(peer& p) {
    try {
      network_.start(p, shared_from_this());
      delivery_.start(p, shared_from_this());
      dispatcher_.publish(p);
      dispatcher_.watch_rest(p);
    } catch (...) {
      // Without one of its coroutines the peer's stream would stand still.
      context_.guard.fail(std::current_exception());
      throw;
    }
  }

  void open_once() {
    if (!std::exchange(opening_, true) && !context_.life.ended()) store_.start(shared_from_this());
  }

  void handle_opened() {
    network_.start(shared_from_this());
    for (const auto& [name, p] : peers_) dispatcher_.service(*p);
    early_.drain([this](auto r) { answer_or_fail(std::move(r)); });
    sends_.admit_waiting();
    context_.progress.notify();
  }

  /// While the store cannot be opened, nothing can be answered that needs it.
  void handle_open_failed(std::error_code reason) {
    sends_.fail_waiting(reason);
    early_.fail_all(reason);
    dispatcher_.fail_connecting(reason);
    context_.progress.notify();
  }

  /// Why a request is refused now.
  std::error_code refusal() const noexcept {
    return context_.life.retired() ? context_.life.refusal() : context_.life.open_error();
  }

  // The answers to these are in the store.

  void answer(std::unique_ptr<delivered_request>& r) {
    if (context_.life.opening()) return early_.add(r);
    dispatcher_.wait_delivered(r);
  }

  void answer(std::unique_ptr<undelivered_request>& r) {
    if (context_.life.opening()) return early_.add(r);
    peer_name* name = r->find_name();
    if (name == nullptr || !name->known()) return r->done({}, {});
    r->done({}, peers::undelivered(*name));
  }

  void answer(std::unique_ptr<forget_request>& r) {
    if (!context_.life.accepts_sends()) return r->fail(error::shut_down);
    if (context_.life.opening()) return early_.add(r);
    if (r->find_name() == local_) return r->fail(error::send_to_self);
    forgets_.start(r);
  }

  /// Of a request that waited for the store.
  template <class Request>
  void answer_or_fail(std::unique_ptr<Request> r) {
    try {
      answer(r);
    } catch (...) {
      if (!r) throw;
      r->fail(detail::failure_of(std::current_exception()).code);
    }
  }

  /// Runs as long as anything does that is not to outlive the context.
  asio::awaitable<void> timer_loop() {
    lookout here(*this);
    try {
      while (!context_.life.ended() || delivery_.running()) {
        context_.timer_at =
            std::min({dispatcher_.deadline(), store_.deadline(), network_.deadline(),
                      context_.life.deadline(), context_.events.deadline()});
        if (context_.life.ended()) context_.timer_at = protocol::never;
        co_await context_.clock->wait_until(context_.timer_at);
        if (context_.life.ended()) continue;
        protocol::timestamp now = context_.now();
        dispatcher_.handle_time(now);
        store_.handle_time(now);
        network_.handle_time(now);
        shutdown_.handle_time(now);
        context_.events.handle_time(now);
      }
    } catch (...) {
      // Without the loop, the lookout would take this for the end of the context.
      context_.guard.fail(std::current_exception());
    }
    here.end();
  }

  /// Ends the messenger with the error of an exception. Whatever threw is not asked again.
  void fail(const std::exception_ptr& thrown) noexcept {
    detail::failure why = detail::failure_of(thrown);
    std::error_code reason = why.code;
    bool news = !context_.life.ended();
    context_.life.handle_failed(reason);
    if (news) attempt([&] { context_.report(event_kind::messenger_failed, std::move(why)); });
    end(reason);
  }

  /// Ends everything at once. The callers that wait get `reason`. Called again, it does the rest.
  void end(std::error_code reason) noexcept {
    context_.life.handle_stopped(reason);
    attempt([&] { sends_.fail_all(reason); });
    attempt([&] { dispatcher_.fail_all(reason); });
    retire(reason);
    attempt([&] { context_.clock->wake(); });
    attempt([&] { context_.progress.notify(); });
    attempt([&] { delivery_.stop(); });
    attempt([&] { store_.stop(); });
  }

  /// Ends all but the store, the deliveries and their sends. The callers that wait get `reason`.
  void retire(std::error_code reason) noexcept {
    attempt([&] { sends_.fail_waiting(reason); });
    attempt([&] { forgets_.fail_all(reason); });
    attempt([&] { dispatcher_.fail_requests(reason); });
    attempt([&] { early_.fail_all(reason); });
    attempt([&] { shutdown_.fail_all(reason); });
    attempt([&] { context_.events.close(reason); });
    attempt([&] { context_.board.handle_end(); });
    attempt([&] { network_.stop(); });
  }

  /// No step of the end leaves out the next.
  template <class Function>
  static void attempt(Function step) noexcept {
    try {
      step();
    } catch (...) {
      // Nothing is left to tell it to.
    }
  }

  /// Destroys the coroutines and the callers that wait inside, where no context will ever run them
  /// again: a caller that waits for an answer keeps the engine alive that would give it.
  void abandon() {
    context_.life.handle_stopped(asio::error::operation_aborted);
    network_.abandon();
    context_.clock->abandon();
    context_.store_wake.abandon();
    context_.page_wake.abandon();
    context_.progress.abandon();
    context_.turns->abandon();
    delivery_.abandon();
    store_.abandon();
    early_.abandon();
    forgets_.abandon();
    shutdown_.abandon();
    context_.events.abandon();
    sends_.abandon();
    dispatcher_.abandon();
  }

  std::shared_ptr<name_keeper> names_;
  system_entropy entropy_;
  protocol::random_source random_;
  context context_;
  peers peers_;
  const peer_name* local_;
  dispatcher dispatcher_;
  send_driver sends_;
  forget_driver forgets_;
  store_driver store_;
  network_driver network_;
  delivery_driver delivery_;
  shutdown_driver shutdown_;
  early_requests early_;
  std::atomic<std::uint64_t> operations_{0};
  bool opening_ = false;  ///< whether the store was asked to open
};

ILM_INLINE std::shared_ptr<engine> make_engine(engine_parts parts) {
  std::string wrong = validation_error(parts.settings, parts.network->maximum_frame_size());
  if (!wrong.empty()) throw std::system_error(make_error_code(error::invalid_options), wrong);
  return std::make_shared<shell>(std::move(parts));
}

}  // namespace ilm::inline v0::runtime
