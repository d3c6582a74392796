#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/runtime/delivery_executor.hpp>
#include <ilm/runtime/engine.hpp>
#include <ilm/runtime/requests.hpp>
#include <ilm/statistics.hpp>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <string>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

namespace detail {

struct context_access;

/// A completion token: the fourth argument of send_to may come third.
template <class Token>
concept not_send_options = !std::same_as<std::remove_cvref_t<Token>, send_options>;

template <class Contents>
runtime::prepared_send prepare(const Contents& contents, const send_options& with, bool stamp) {
  runtime::prepared_send prepared;
  if constexpr (requires { requires sizeof(*std::data(contents)) == 1; }) {
    // Contents that no frame carries are not copied first.
    if (std::size(contents) > protocol::largest_frame) {
      prepared.invalid = error::message_too_large;
      return prepared;
    }
  }
  prepared.message.contents = encode(contents);
  std::optional<attributes::time_point> now;
  if (stamp && !with.forwarded.sent_at()) {
    now = std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
  }
  if (!with.empty() || now) prepared.invalid = with.encode(prepared.message.attributes, now);
  return prepared;
}

/// A pair (peer, contents), or a triple with send_options behind.
template <class Message, class PeerId>
concept outgoing_message = requires(const Message& m) {
  { std::get<0>(m) } -> std::convertible_to<PeerId>;
  requires sendable<std::remove_cvref_t<decltype(std::get<1>(m))>>;
  requires std::tuple_size_v<Message>
  == 2 || requires {
    { std::get<2>(m) } -> std::convertible_to<const send_options&>;
  };
};
template <class Messages, class PeerId>
concept outgoing_messages = std::ranges::input_range<const Messages&> &&
    outgoing_message<std::remove_cvref_t<std::ranges::range_reference_t<const Messages&>>, PeerId>;

template <class Message>
runtime::prepared_send prepare_outgoing(const Message& m, bool stamp) {
  if constexpr (std::tuple_size_v<Message> == 2) {
    return prepare(std::get<1>(m), send_options(), stamp);
  } else {
    return prepare(std::get<1>(m), std::get<2>(m), stamp);
  }
}

}  // namespace detail

template <class PeerId>
class delivery_context;

/// The operations of a messenger, whatever its parts. Copies are handles to one messenger, which
/// none of them keeps running: it ends with the `messenger` that they come from, and then every
/// operation fails with shut_down or operation_aborted. Members may be called from any thread.
///
/// Every asynchronous member takes an Asio completion token, `use_awaitable` by default. Errors are
/// of ilm::error_category() or the backend's; `asio::error::operation_aborted` means that the
/// messenger was destroyed meanwhile, and that a send may or may not have been stored.
template <class PeerId>
class messenger_handle {
 public:
  using peer_id = PeerId;
  using event_type = event<peer_id>;
  using statistics_type = messenger_statistics<peer_id>;
  using report_type = shutdown_report<peer_id>;
  using default_token = asio::use_awaitable_t<>;

  /// A handle to nothing, to be assigned: it has no other use.
  messenger_handle() = default;

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

  /// Sends several messages, to one peer or to many: the store has all of them or none, whatever
  /// fails or crashes. `messages` is a range of pairs (peer, contents), or of triples with
  /// send_options behind.
  ///
  /// Completes with: the sequences, in the order of the range.
  /// Completes when: the messages are in the store, by one commit. Those to one peer keep their
  ///   order, and their place among its other sends.
  /// Errors: as send_to, for any of them; batch_too_large if they exceed
  ///   options::uncommitted_messages or uncommitted_bytes; the store's error where it refuses the
  ///   changes of one of several peers, also at once where it did so before. Then none is stored.
  /// Cancelling: as send_to.
  template <class Messages, class Token = default_token>
  requires detail::outgoing_messages<Messages, peer_id>
  auto send_batch(const Messages& messages, Token&& token = Token()) {
    std::vector<std::pair<peer_id, runtime::prepared_send>> prepared;
    for (const auto& m : messages) {
      prepared.emplace_back(std::get<0>(m), detail::prepare_outgoing(m, stamp_sent_at_));
    }
    return async_send_batch(std::move(prepared), std::forward<Token>(token));
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
  /// Errors: unknown_sequence if no such message was sent to the peer, shut_down, or the store's
  ///   error while it cannot be opened.
  /// Cancelling: ends the wait and nothing else.
  template <class Token = default_token>
  auto wait_delivered(const peer_id& peer, std::uint64_t sequence, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [weak = engine_, names = names_.get()](auto&& handler, const peer_id& to,
                                               std::uint64_t number) {
          begin<>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto r = std::make_unique<request<runtime::delivered_request>>(*names, to, number, id);
            r->done = completion<>(std::forward<decltype(handler)>(handler), engine->executor());
            engine->wait_delivered(std::move(r));
          });
        },
        token, peer, sequence);
  }

  /// Asks for the range of the outbox, to go on after a restart where the last messenger ended.
  ///
  /// Completes with: the sequences that `peer` has not confirmed as delivered. If there are none,
  ///   the range is empty; its `last` is all the same the last sequence accepted for the peer, 0 if
  ///   there is none. A message that is being stored right now is not in it.
  /// Completes when: the store is open.
  /// Errors: shut_down, or the store's error while it cannot be opened.
  /// Cancelling: ends the wait for the store and nothing else.
  template <class Token = default_token>
  auto undelivered(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, sequence_range)>(
        [weak = engine_, names = names_.get()](auto&& handler, const peer_id& to) {
          begin<sequence_range>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto r = std::make_unique<request<runtime::undelivered_request>>(*names, to, id);
            r->done = completion<sequence_range>(std::forward<decltype(handler)>(handler),
                                                 engine->executor());
            engine->undelivered(std::move(r));
          });
        },
        token, peer);
  }

  /// Forgets a peer: drops all that is kept of it, in memory, in the store and in the statistics.
  /// Before that, the event `peer_forgotten` names what is dropped. Waits and sends for the peer
  /// end with peer_forgotten; a running call of the delivery is cancelled, and waited for. If the
  /// peer comes again, or something is sent to it, both begin anew: see "Forgetting a peer" in the
  /// page.
  ///
  /// Completes with: how many messages were dropped; none if nothing is known of the peer.
  /// Completes when: the store is without the peer.
  /// Errors: shut_down, send_to_self, or the store's error; then nothing is dropped.
  /// Cancelling: ends it while the store is not open, and nothing is dropped; later it has no
  ///   effect.
  template <class Token = default_token>
  auto forget(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, forget_report)>(
        [weak = engine_, names = names_.get()](auto&& handler, const peer_id& to) {
          begin<forget_report>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto r = std::make_unique<request<runtime::forget_request>>(*names, to, id);
            r->done = completion<forget_report>(std::forward<decltype(handler)>(handler),
                                                engine->executor());
            engine->forget(std::move(r));
          });
        },
        token, peer);
  }

  /// Waits for a session.
  ///
  /// Completes with: nothing.
  /// Completes when: a session with `peer` is open; at once if one is.
  /// Errors: send_to_self and invalid_peer_id for an id that no peer has, shut_down, or the store's
  ///   error while it cannot be opened.
  /// Cancelling: ends the wait and nothing else.
  template <class Token = default_token>
  auto connected(const peer_id& peer, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [weak = engine_, names = names_.get()](auto&& handler, const peer_id& to) {
          begin<>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto r = std::make_unique<request<runtime::connected_request>>(*names, to, id);
            r->done = completion<>(std::forward<decltype(handler)>(handler), engine->executor());
            engine->connected(std::move(r));
          });
        },
        token, peer);
  }

  /// Waits for the next event. Events that nobody reads are kept up to options::event_limit; those
  /// that matter more come first.
  ///
  /// Completes with: the event.
  /// Completes when: there is one.
  /// Errors: shut_down once all are read after a shutdown.
  /// Cancelling: ends the wait; no event is lost, nor in `next_event() || timer`.
  template <class Token = default_token>
  auto next_event(Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, event_type)>(
        [weak = engine_](auto&& handler) {
          begin<event_type>(weak, handler, [&](engine_pointer& engine) {
            auto decides = std::make_shared<detail::claim>();
            std::uint64_t id = connect_cancellation(engine, handler, decides);
            engine->next_event(id, event_completion(engine, std::move(decides),
                                                    std::forward<decltype(handler)>(handler)));
          });
        },
        token);
  }

  /// Calls `log(event)` with each event as it happens, in place of a loop around `next_event`: on
  /// the messenger's strand, so it must not block. Its exceptions are dropped. Events from before
  /// the call are not among them: construct the messenger with `start_later` to miss none. From now
  /// on events are kept for `next_event` only once that was called. Another call replaces the
  /// function, and null removes it; the end of the messenger does so, too.
  void on_event(std::function<void(const event_type&)> log) {
    engine_pointer engine = engine_.lock();
    if (!engine) return;
    std::function<void(const runtime::named_event&)> watcher;
    if (log) watcher = [f = std::move(log)](const runtime::named_event& e) { f(typed(e)); };
    engine->watch_events(std::move(watcher));
  }

  /// Stops accepting sends, drains the outboxes within `timeout`, says bye and closes the
  /// store. Can be called again, also after a timeout, and reports the same.
  ///
  /// Completes with: exact counts of delivered messages and of those that stay durable.
  /// Completes when: every peer with which the network has a session, open or opening, has
  ///   confirmed all messages sent to it, and running calls of the delivery have ended; or the
  ///   timeout is over. Then the store is closed. Beyond the timeout it waits for an operation of
  ///   the store that is under way, but for `open`; up to 200 ms for calls of the delivery that go
  ///   on although they are cancelled; and up to 200 ms for the last frames. Calls that go on even
  ///   then are counted as `running`, and are the one thing left: the store stays open for them,
  ///   so that no successor begins their messages meanwhile, takes up what they consume, and is
  ///   closed when the last one has ended. Called again, it waits for that until its own timeout.
  ///   It does not wait for the readers of an inbox: a message that one has and did not consume
  ///   comes again.
  ///   It begins no delivery, but of messages from a peer that has not confirmed all that was sent
  ///   to it before: it may shut down as well, and wait for this side.
  /// Errors: the store's, if it cannot be opened or closed: then the counts are not known.
  ///   shutdown_in_delivery if a handler of this messenger awaits it, which it would wait for.
  /// Cancelling: has no effect.
  template <class Token = default_token>
  auto shutdown(std::chrono::nanoseconds timeout, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, report_type)>(
        [weak = engine_](auto&& handler, std::chrono::nanoseconds limit) {
          begin<report_type>(weak, handler, [&](engine_pointer& engine) {
            bool inside = is_in_delivery(*engine, handler);
            auto done = report_completion(engine, std::forward<decltype(handler)>(handler));
            if (inside) return done(error::shutdown_in_delivery, {});
            engine->shutdown(limit, std::move(done));
          });
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
    engine_pointer engine = engine_.lock();
    if (!engine) return {};
    runtime::named_statistics s = engine->statistics();
    statistics_type all(s.totals);
    for (const auto& [name, figures] : s.peers) {
      all.peers.emplace_back(runtime::id_of<peer_id>(*name), figures);
    }
    return all;
  }

 private:
  using engine_pointer = std::shared_ptr<runtime::engine>;
  using names_type = runtime::name_table<peer_id>;

  messenger_handle(std::shared_ptr<names_type> names, std::weak_ptr<runtime::engine> of, bool stamp)
      : names_(std::move(names)), engine_(std::move(of)), stamp_sent_at_(stamp) {}
  template <class Request>
  using request = runtime::addressed<peer_id, Request>;
  template <class... Result>
  using completion = detail::completion<std::error_code, Result...>;

  template <class Contents, class Token>
  auto async_send(const peer_id& to, const Contents& contents, const send_options& with, bool wait,
                  Token&& token) {
    return asio::async_initiate<Token, void(std::error_code, std::uint64_t)>(
        [weak = engine_, names = names_.get()](auto&& handler, const peer_id& peer,
                                               runtime::prepared_send prepared, bool may_wait) {
          begin<std::uint64_t>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto r = std::make_unique<request<runtime::send_request>>(
                *names, peer, std::move(prepared), may_wait, id);
            r->done = completion<std::uint64_t>(std::forward<decltype(handler)>(handler),
                                                engine->executor());
            engine->send(std::move(r));
          });
        },
        token, to, detail::prepare(contents, with, stamp_sent_at_), wait);
  }

  template <class Token>
  auto async_send_batch(std::vector<std::pair<peer_id, runtime::prepared_send>> prepared,
                        Token&& token) {
    using sequences = std::vector<std::uint64_t>;
    return asio::async_initiate<Token, void(std::error_code, sequences)>(
        [weak = engine_, names = names_.get()](auto&& handler, auto messages) {
          begin<sequences>(weak, handler, [&](engine_pointer& engine) {
            std::uint64_t id = connect_cancellation(engine, handler);
            auto batch = std::make_shared<runtime::send_batch>(messages.size());
            std::unique_ptr<runtime::send_request> first;
            for (auto& [to, message] : messages) {
              auto r = std::make_unique<request<runtime::send_request>>(
                  *names, to, std::move(message), true, first ? 0 : id);
              r->batch = batch;
              r->place = first ? first->messages() : 0;
              first ? first->rest.push_back(std::move(r)) : void(first = std::move(r));
            }
            completion<sequences> done(std::forward<decltype(handler)>(handler),
                                       engine->executor());
            if (!first) return done({}, {});
            batch->set_handler(std::move(done));
            engine->send(std::move(first));
          });
        },
        token, std::move(prepared));
  }

  /// Begins an operation with `step(engine)`, which takes the handler last. Should it throw before,
  /// the operation completes with the error: an awaiting coroutine does not hear of an exception of
  /// the initiation.
  template <class... Result, class Handler, class Step>
  static void begin(const std::weak_ptr<runtime::engine>& of, Handler& handler, Step step) {
    engine_pointer engine = of.lock();
    std::error_code failed = asio::error::operation_aborted;
    if (engine) {
      try {
        return step(engine);
      } catch (...) {
        failed = detail::failure_of(std::current_exception()).code;
      }
    }
    asio::any_io_executor fallback = asio::system_executor();
    if (engine) fallback = engine->executor();
    completion<Result...>(std::move(handler), fallback)(failed, Result()...);
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

  /// A report that cannot be given, for an id that cannot be copied, fails.
  template <class Handler>
  static completion<runtime::named_report> report_completion(const engine_pointer& engine,
                                                             Handler&& handler) {
    return completion<runtime::named_report>::finished_by(
        std::forward<Handler>(handler), engine->executor(),
        [](auto&& h, std::error_code failed, runtime::named_report r) {
          report_type report;
          try {
            report = typed(r);
          } catch (...) {
            failed = detail::failure_of(std::current_exception()).code;
          }
          std::move(h)(failed, std::move(report));
        });
  }

  /// An event that comes in the same turn as a cancellation stays the next one, and so does one
  /// that cannot be given.
  template <class Handler>
  static completion<runtime::named_event> event_completion(const engine_pointer& engine,
                                                           std::shared_ptr<detail::claim> decides,
                                                           Handler&& handler) {
    return completion<runtime::named_event>::claimed(
        std::forward<Handler>(handler), engine->executor(), std::move(decides),
        [weak = std::weak_ptr<runtime::engine>(engine)](auto&& h, std::error_code failed,
                                                        runtime::named_event e) {
          event_type given;
          try {
            given = typed(e);
          } catch (...) {
            failed = detail::failure_of(std::current_exception()).code;
            engine_pointer alive = weak.lock();
            if (alive) alive->return_event(std::move(e));
          }
          std::move(h)(failed, std::move(given));
        },
        [weak = std::weak_ptr<runtime::engine>(engine)](std::error_code failed,
                                                        runtime::named_event e) {
          engine_pointer alive = failed ? nullptr : weak.lock();
          if (alive) alive->return_event(std::move(e));
        },
        [](auto&& h) {
          std::move(h)(std::error_code(asio::error::operation_aborted), event_type());
        });
  }

  /// Lets the handler's cancellation slot, if it has one, reach the operation named by the result.
  template <class Handler>
  static std::uint64_t connect_cancellation(const engine_pointer& engine, Handler& handler,
                                            std::shared_ptr<detail::claim> decides = nullptr) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (!slot.is_connected()) return 0;
    std::uint64_t id = engine->next_operation();
    slot.assign([weak = std::weak_ptr<runtime::engine>(engine), id,
                 c = std::move(decides)](asio::cancellation_type) {
      if (c && !c->cancel()) return;
      engine_pointer alive = weak.lock();
      if (alive) alive->cancel(id);
    });
    return id;
  }

  /// Whether the handler belongs to a coroutine in which the engine calls the application.
  template <class Handler>
  static bool is_in_delivery(const runtime::engine& engine, const Handler& handler) {
    auto executor = asio::get_associated_executor(handler, engine.executor());
    if constexpr (std::same_as<decltype(executor), asio::any_io_executor>) {
      return runtime::delivery_executor::owner_of(executor) == &engine;
    } else {
      return false;
    }
  }

  std::shared_ptr<names_type> names_;
  std::weak_ptr<runtime::engine> engine_;
  bool stamp_sent_at_ = false;

  template <class Backend, class Network, class Delivery>
  friend class messenger;
  friend class delivery_context<peer_id>;
  friend detail::context_access;
};

ILM_INSTANCE(class messenger_handle<std::string>);

}  // namespace ilm::inline v0
