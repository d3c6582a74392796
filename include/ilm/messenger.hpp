#pragma once

#include <ilm/backend.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/check_parts.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/event.hpp>
#include <ilm/network.hpp>
#include <ilm/options.hpp>
#include <ilm/runtime/adapters.hpp>
#include <ilm/runtime/clock_adapter.hpp>
#include <ilm/runtime/engine.hpp>
#include <ilm/runtime/requests.hpp>
#include <ilm/statistics.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <memory>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

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

/// A completion token: the fourth argument of send_to may come third.
template <class Token>
concept not_send_options = !std::same_as<std::remove_cvref_t<Token>, send_options>;

}  // namespace detail

/// Durable, ordered, exactly-once messages between peers, across sessions and restarts.
///
/// It owns its backend, network and delivery, and runs from construction until it is shut down or
/// destroyed. Destroying it without `shutdown` is a crash, and as safe as one: the store is free
/// for the next messenger as soon as the executor has run the handlers posted to it. Members may be
/// called from any thread; the parts are called on one strand of the executor.
///
/// Every asynchronous member takes an Asio completion token, `use_awaitable` by default. Errors are
/// of ilm::error_category() or the backend's; `asio::error::operation_aborted` means that the
/// messenger was destroyed meanwhile, and that a send may or may not have been stored.
template <class Backend, class Network, class Delivery>
class messenger {
 public:
  using peer_id = detail::checked_peer_id<Backend, Network, Delivery>;
  using event_type = event<peer_id>;
  using statistics_type = messenger_statistics<peer_id>;
  using report_type = shutdown_report<peer_id>;
  using default_token = asio::use_awaitable_t<>;

  /// Starts on `executor`. Throws std::system_error: error::invalid_options with a text that says
  /// which options contradict one another, error::invalid_peer_id.
  messenger(asio::any_io_executor executor, Backend store, Network net, Delivery deliver,
            options o = {}) {
    detail::assert_parts<Backend, Network, Delivery>();
    if constexpr (detail::parts_fit<Backend, Network, Delivery>) {
      names_ = std::make_shared<names_type>(net.local_id());
      stamp_sent_at_ = o.stamp_sent_at;
      using namespace runtime;
      engine_parts parts;
      parts.executor = std::move(executor);
      parts.clock = make_clock(parts.executor);
      parts.local = &names_->local();
      parts.names = names_;
      parts.settings = std::move(o);
      parts.store = std::make_unique<store_adapter<peer_id, Backend>>(names_, std::move(store));
      parts.network = std::make_unique<network_adapter<peer_id, Network>>(names_, std::move(net));
      parts.delivery = std::make_unique<delivery_adapter<peer_id, Delivery>>(std::move(deliver));
      engine_ = make_engine(std::move(parts));
      engine_->start();
    }
  }

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> messenger(
      Context& context, Backend store, Network net, Delivery deliver, options o = {})
      : messenger(asio::any_io_executor(context.get_executor()), std::move(store), std::move(net),
                  std::move(deliver), std::move(o)) {}

  messenger(messenger&&) noexcept = default;
  messenger& operator=(messenger&& other) noexcept {
    stop();
    names_ = std::move(other.names_);
    engine_ = std::move(other.engine_);
    stamp_sent_at_ = other.stamp_sent_at_;
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
  template <sendable Contents, detail::not_send_options Token = default_token>
  auto send_to(const peer_id& to, const Contents& contents, Token&& token = Token()) {
    return async_send(to, contents, {}, true, std::forward<Token>(token));
  }
  /// With headers and other attributes beside the contents, up to options::maximum_message_size in
  /// all. A further error: invalid_attributes.
  template <sendable Contents, class Token = default_token>
  auto send_to(const peer_id& to, const Contents& contents, const send_options& with,
               Token&& token = Token()) {
    return async_send(to, contents, with, true, std::forward<Token>(token));
  }

  /// As send_to, but fails with error::would_block instead of waiting where too much waits for the
  /// store (options::uncommitted_messages and uncommitted_bytes).
  template <sendable Contents, detail::not_send_options Token = default_token>
  auto try_send_to(const peer_id& to, const Contents& contents, Token&& token = Token()) {
    return async_send(to, contents, {}, false, std::forward<Token>(token));
  }
  template <sendable Contents, class Token = default_token>
  auto try_send_to(const peer_id& to, const Contents& contents, const send_options& with,
                   Token&& token = Token()) {
    return async_send(to, contents, with, false, std::forward<Token>(token));
  }

  /// Waits for a receipt.
  ///
  /// Completes with: nothing.
  /// Completes when: the application of `peer` has consumed every message up to `sequence`. The
  ///   sequence may come from an earlier messenger on this store.
  /// Errors: unknown_sequence if no such message was sent to the peer, shut_down.
  /// Cancelling: ends the wait and nothing else.
  template <class Token = default_token>
  auto wait_delivered(const peer_id& peer, std::uint64_t sequence, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [engine = engine_, names = names_](auto&& handler, peer_id to, std::uint64_t number) {
          std::uint64_t id = connect_cancellation(engine, handler);
          engine->wait_delivered(std::make_unique<request<runtime::delivered_request>>(
              *names, std::move(to), number, id,
              completion<>(std::forward<decltype(handler)>(handler), engine->executor())));
        },
        token, peer, sequence);
  }

  /// Asks for the range of the outbox, to go on after a restart where the last messenger ended.
  ///
  /// Completes with: the sequences that `peer` has not confirmed as delivered. If there are none,
  ///   the range is empty; its `last` is all the same the last sequence accepted for the peer, 0 if
  ///   there is none. A message that is being stored right now is not in it.
  /// Completes when: the store is open.
  /// Errors: shut_down.
  /// Cancelling: has no effect.
  template <class Token = default_token>
  auto undelivered(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, sequence_range)>(
        [engine = engine_, names = names_](auto&& handler, peer_id to) {
          engine->undelivered(std::make_unique<request<runtime::undelivered_request>>(
              *names, std::move(to),
              completion<sequence_range>(std::forward<decltype(handler)>(handler),
                                         engine->executor())));
        },
        token, peer);
  }

  /// Waits for a session.
  ///
  /// Completes with: nothing.
  /// Completes when: a session with `peer` is open; at once if one is.
  /// Errors: send_to_self and invalid_peer_id for an id that no peer has, shut_down.
  /// Cancelling: ends the wait and nothing else.
  template <class Token = default_token>
  auto connected(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [engine = engine_, names = names_](auto&& handler, peer_id to) {
          std::uint64_t id = connect_cancellation(engine, handler);
          engine->connected(std::make_unique<request<runtime::connected_request>>(
              *names, std::move(to), id,
              completion<>(std::forward<decltype(handler)>(handler), engine->executor())));
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
          std::uint64_t id = connect_cancellation(engine, handler);
          completion<event_type> done(std::forward<decltype(handler)>(handler), engine->executor());
          engine->next_event(id, passing<runtime::named_event>(std::move(done)));
        },
        token);
  }

  /// Stops accepting sends, drains the outboxes within `timeout`, says bye and closes the
  /// store. Can be called again, also after a timeout, and reports the same.
  ///
  /// Completes with: exact counts of delivered messages and of those that stay durable.
  /// Completes when: every peer with which the network has a session, open or opening, has
  /// confirmed
  ///   all messages sent to it, and running calls of the delivery have ended; or the timeout is
  ///   over. Then the store is closed. An operation of the store that is under way is waited for,
  ///   but for `open`.
  /// Errors: the store's, if it cannot be opened or closed: then the counts are not known.
  /// Cancelling: has no effect.
  template <class Token = default_token>
  auto shutdown(std::chrono::nanoseconds timeout, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, report_type)>(
        [engine = engine_](auto&& handler, std::chrono::nanoseconds limit) {
          completion<report_type> done(std::forward<decltype(handler)>(handler),
                                       engine->executor());
          engine->shutdown(limit, passing<runtime::named_report>(std::move(done)));
        },
        token, timeout);
  }

  /// The name under which peers know this messenger.
  const peer_id& local_id() const noexcept { return names_->local_id(); }

  /// The peers with an open session, in order.
  std::vector<peer_id> connected_peers() const {
    std::vector<peer_id> connected;
    for (const auto& p : statistics().peers) {
      if (p.connected) connected.push_back(p.peer);
    }
    return connected;
  }

  /// How things stand, as of the last change of each peer.
  statistics_type statistics() const {
    runtime::named_statistics s = engine_->statistics();
    statistics_type all(s.totals);
    for (const auto& [name, figures] : s.peers) {
      all.peers.emplace_back(runtime::id_of<peer_id>(*name), figures);
    }
    return all;
  }

 private:
  using engine_pointer = std::shared_ptr<runtime::engine>;
  using names_type = runtime::name_table<peer_id>;
  template <class Request>
  using request = runtime::addressed<peer_id, Request>;
  template <class... Result>
  using completion = detail::completion<std::error_code, Result...>;

  static std::unique_ptr<runtime::clock_port> make_clock(const asio::any_io_executor& executor) {
    using clock = typename detail::clock_of<Network>::type;
    if constexpr (std::same_as<clock, std::chrono::steady_clock>) {
      return nullptr;  // the engine brings it
    } else {
      return std::make_unique<runtime::clock_adapter<clock>>(executor);
    }
  }

  template <class Contents, class Token>
  auto async_send(const peer_id& to, const Contents& contents, const send_options& with, bool wait,
                  Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::uint64_t)>(
        [engine = engine_, names = names_.get()](auto&& handler, peer_id peer,
                                                 runtime::prepared_send prepared, bool may_wait) {
          std::uint64_t id = connect_cancellation(engine, handler);
          engine->send(std::make_unique<request<runtime::send_request>>(
              *names, std::move(peer), std::move(prepared), may_wait, id,
              completion<std::uint64_t>(std::forward<decltype(handler)>(handler),
                                        engine->executor())));
        },
        token, to, prepare(contents, with), wait);
  }

  template <class Contents>
  runtime::prepared_send prepare(const Contents& contents, const send_options& with) const {
    runtime::prepared_send prepared;
    prepared.message.contents = encode(contents);
    std::optional<attributes::time_point> now;
    if (stamp_sent_at_ && !with.forwarded.sent_at()) {
      now =
          std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
    }
    if (!with.empty() || now) prepared.invalid = with.encode(prepared.message.attributes, now);
    return prepared;
  }

  /// A completion that gives `done` the result with ids for names.
  template <class Named, class Result>
  static completion<Named> passing(completion<Result> done) {
    return completion<Named>::pass_to(
        [d = std::move(done)](std::error_code failed, Named result) mutable {
          d(failed, typed(result));
        });
  }

  static event_type typed(const runtime::named_event& e) {
    std::optional<peer_id> peer;
    if (e.peer) peer = runtime::id_of<peer_id>(*e.peer);
    return event_type(std::move(peer), e.record);
  }
  static report_type typed(const runtime::named_report& r) {
    report_type report(r.totals);
    for (const auto& [name, counts] : r.peers) {
      report.peers.emplace_back(runtime::id_of<peer_id>(*name), counts);
    }
    return report;
  }

  /// Lets the handler's cancellation slot, if it has one, reach the operation named by the result.
  template <class Handler>
  static std::uint64_t connect_cancellation(const engine_pointer& engine, Handler& handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) return 0;
    std::uint64_t id = engine->next_operation();
    slot.assign([weak = std::weak_ptr<runtime::engine>(engine), id](asio::cancellation_type) {
      engine_pointer alive = weak.lock();
      if (alive) alive->cancel(id);
    });
    return id;
  }

  void stop() {
    if (engine_) engine_->stop();
    engine_.reset();
  }

  std::shared_ptr<names_type> names_;
  engine_pointer engine_;
  bool stamp_sent_at_ = false;
};

}  // namespace ilm::inline v0
