#pragma once

#include <ilm/backend.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/check_parts.hpp>
#include <ilm/event.hpp>
#include <ilm/network.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/engine.hpp>
#include <ilm/statistics.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

namespace detail {

/// The clock of a network that has one of its own (simulated time); otherwise the steady clock.
template <class Network>
struct clock_of {
  using type = std::chrono::steady_clock;
};
template <class Network>
requires requires { typename Network::clock_type; }
struct clock_of<Network> {
  using type = typename Network::clock_type;
};

}  // namespace detail

/// Durable, ordered, exactly-once messages between peers, across sessions and restarts.
///
/// It owns its backend, network and delivery, and runs from construction until it is shut down or
/// destroyed. Destroying it without `shutdown` is a crash, and as safe as one: the store is free
/// for the next messenger as soon as the executor has run what was posted to it. Members may be
/// called from any thread; the parts are called on one strand of the executor.
///
/// Every asynchronous member takes an Asio completion token, `use_awaitable` by default. Errors are
/// of ilm::error_category() or the backend's; `asio::error::operation_aborted` means that the
/// messenger was destroyed meanwhile, and that a send may or may not have been stored.
template <class Backend, class Network, class Delivery>
class messenger {
  using parts = detail::fitting_parts<Backend, Network, Delivery>;
  using engine_type =
      runtime::engine<typename parts::backend, typename parts::network, typename parts::delivery,
                      typename detail::clock_of<Network>::type>;

 public:
  using peer_id = typename parts::peer_id;
  using event_type = event<peer_id>;
  using statistics_type = messenger_statistics<peer_id>;
  using report_type = shutdown_report<peer_id>;
  using default_token = asio::use_awaitable_t<>;

  /// Starts on `executor`. Throws std::system_error: error::invalid_options with a text that says
  /// which options contradict one another, error::invalid_peer_id.
  messenger(asio::any_io_executor executor, Backend store, Network net, Delivery deliver,
            options o = {})
      : engine_(std::make_shared<engine_type>(std::move(executor), std::move(store), std::move(net),
                                              std::move(deliver), std::move(o))) {
    detail::assert_parts<Backend, Network, Delivery>();
    engine_->start();
  }

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> messenger(
      Context& context, Backend store, Network net, Delivery deliver, options o = {})
      : messenger(asio::any_io_executor(context.get_executor()), std::move(store), std::move(net),
                  std::move(deliver), std::move(o)) {}

  messenger(messenger&&) noexcept = default;
  messenger& operator=(messenger&& other) noexcept {
    stop();
    engine_ = std::move(other.engine_);
    return *this;
  }
  ~messenger() { stop(); }

  /// Sends `contents` (bytes, text, or any type with a codec) to `peer`, known or not, present or
  /// not.
  ///
  /// Completes with: the message's sequence.
  /// Completes when: the message is in the store; it may not have left yet. Sends to one peer are
  ///   accepted in the order of the calls.
  /// Errors: shut_down, send_to_self, message_too_large, outbox_full, invalid_peer_id, or the
  ///   store's error; then the message is not stored.
  /// Cancelling: withdraws a send that waits because too much waits for the store
  ///   (operation_aborted). One that is with the store completes with the store's answer.
  template <sendable Contents, class Token = default_token>
  auto send_to(const peer_id& to, const Contents& contents, Token&& token = Token()) {
    return async_send(to, contents, true, std::forward<Token>(token));
  }

  /// As send_to, but fails with error::would_block instead of waiting where too much waits for the
  /// store (options::uncommitted_messages and uncommitted_bytes).
  template <sendable Contents, class Token = default_token>
  auto try_send_to(const peer_id& to, const Contents& contents, Token&& token = Token()) {
    return async_send(to, contents, false, std::forward<Token>(token));
  }

  /// Waits for a receipt.
  ///
  /// Completes with: nothing.
  /// Completes when: the application of `peer` has taken every message up to `sequence`. The
  ///   sequence may come from an earlier messenger on this store.
  /// Errors: unknown_sequence if no such message was sent to the peer, shut_down.
  /// Cancelling: ends the wait and nothing else.
  template <class Token = default_token>
  auto delivered(const peer_id& peer, std::uint64_t sequence, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [engine = engine_](auto&& handler, peer_id to, std::uint64_t number) {
          std::uint64_t id = connect_cancellation(engine, handler);
          auto waiter = std::make_shared<runtime::receipt>(
              id, detail::completion<std::error_code>(std::forward<decltype(handler)>(handler),
                                                      engine->strand()));
          asio::post(engine->strand(), [engine, to = std::move(to), number, waiter] {
            engine->await_delivered(to, number, std::move(*waiter));
          });
        },
        token, peer, sequence);
  }

  /// Asks what is in the outbox, to go on after a restart where the last life ended.
  ///
  /// Completes with: the sequences that `peer` has not confirmed as delivered. If there are none,
  ///   the range is empty; its `last` is all the same the last sequence accepted for the peer, 0 if
  ///   there is none. What is being stored right now is not in it.
  /// Completes when: the store is open.
  /// Errors: shut_down.
  /// Cancelling: has no effect.
  template <class Token = default_token>
  auto pending(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, sequence_range)>(
        [engine = engine_](auto&& handler, peer_id to) {
          using done_type = detail::completion<std::error_code, sequence_range>;
          auto done = std::make_shared<done_type>(std::forward<decltype(handler)>(handler),
                                                  engine->strand());
          asio::post(engine->strand(), [engine, to = std::move(to), done] {
            engine->tell_pending(to, std::move(*done));
          });
        },
        token, peer);
  }

  /// Waits for the next event. Events that nobody reads are kept up to options::event_limit.
  ///
  /// Completes with: the event.
  /// Completes when: there is one.
  /// Errors: shut_down once all are read after a shutdown.
  /// Cancelling: ends the wait; no event is lost.
  template <class Token = default_token>
  auto next_event(Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, event_type)>(
        [engine = engine_](auto&& handler) {
          using done_type = detail::completion<std::error_code, event_type>;
          std::uint64_t id = connect_cancellation(engine, handler);
          auto done = std::make_shared<done_type>(std::forward<decltype(handler)>(handler),
                                                  engine->strand());
          asio::post(engine->strand(),
                     [engine, id, done] { engine->await_event(id, std::move(*done)); });
        },
        token);
  }

  /// Stops taking sends, drains what can be drained within `timeout`, says goodbye and closes the
  /// store. Can be called again, also after a timeout, and tells the same truth.
  ///
  /// Completes with: counts of what was delivered and what stays durable, exact.
  /// Completes when: every peer with whom the network has a session, open or opening, has confirmed
  ///   all that was sent to it, and running calls of the delivery have ended; or the timeout is
  ///   over. Then the store is closed. An operation of the store that is under way is waited for,
  ///   but for `open`.
  /// Errors: the store's, if it cannot be opened or closed: then nothing is known of what stays.
  /// Cancelling: has no effect.
  template <class Token = default_token>
  auto shutdown(std::chrono::nanoseconds timeout, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, report_type)>(
        [engine = engine_](auto&& handler, std::chrono::nanoseconds limit) {
          using done_type = detail::completion<std::error_code, report_type>;
          auto done = std::make_shared<done_type>(std::forward<decltype(handler)>(handler),
                                                  engine->strand());
          asio::post(engine->strand(),
                     [engine, limit, done] { engine->shut_down(limit, std::move(*done)); });
        },
        token, timeout);
  }

  /// The name under which peers know this messenger.
  const peer_id& local_id() const noexcept { return engine_->self(); }

  /// The peers with an open session, in order.
  std::vector<peer_id> connected_peers() const {
    std::vector<peer_id> connected;
    for (const auto& p : statistics().peers) {
      if (p.connected) connected.push_back(p.peer);
    }
    return connected;
  }

  /// How things stand, as of the last change of each peer.
  statistics_type statistics() const { return engine_->read_statistics(); }

 private:
  using engine_pointer = std::shared_ptr<engine_type>;

  template <class Contents, class Token>
  auto async_send(const peer_id& to, const Contents& contents, bool wait, Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::uint64_t)>(
        [engine = engine_](auto&& handler, peer_id whom, bytes what, bool may_wait) {
          std::uint64_t id = connect_cancellation(engine, handler);
          engine->send(std::make_unique<runtime::send_operation<peer_id>>(
              std::move(whom), std::move(what), may_wait, id,
              detail::completion<std::error_code, std::uint64_t>(
                  std::forward<decltype(handler)>(handler), engine->strand())));
        },
        token, to, encode(contents), wait);
  }

  /// Lets the handler's cancellation slot, if it has one, reach the operation named by the result.
  template <class Handler>
  static std::uint64_t connect_cancellation(const engine_pointer& engine, Handler& handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) return 0;
    std::uint64_t id = engine->next_operation_id();
    slot.assign([weak = std::weak_ptr<engine_type>(engine), id](asio::cancellation_type) {
      engine_pointer alive = weak.lock();
      if (alive) asio::post(alive->strand(), [alive, id] { alive->cancel(id); });
    });
    return id;
  }

  /// Posted to the strand when the messenger is destroyed. If no context will ever run it, then its
  /// own destruction ends the engine.
  class stopper {
   public:
    explicit stopper(engine_pointer engine) : engine_(std::move(engine)) {}
    stopper(stopper&&) noexcept = default;
    ~stopper() {
      if (engine_) engine_->abandon();
    }
    void operator()() { std::exchange(engine_, nullptr)->stop(); }

   private:
    engine_pointer engine_;
  };

  void stop() {
    if (engine_) asio::post(engine_->strand(), stopper(engine_));
    engine_.reset();
  }

  engine_pointer engine_;
};

}  // namespace ilm
