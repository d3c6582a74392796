#pragma once

#include <ilm/deliveries/inbox/state.hpp>
#include <ilm/delivery.hpp>
#include <ilm/delivery_context.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/received.hpp>

#include <asio/steady_timer.hpp>

#include <algorithm>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// A delivery to read from: `auto m = co_await inbox.receive()`.
///
/// A message is consumed when its reader is done with it: when the reader asks for the next, or
/// calls `consume`. Messages that it sends with `m.context.send_to` until then are stored with
/// that, in one commit. A message that was given and not consumed is given again
/// - by the next messenger on the store, if the messenger ends, or the process is killed;
/// - by the next `receive`, of any reader, if an exception destroys it: a cancellation, say, that
///   ends the reader while it works.
/// A `receive` that is cancelled, or that loses in `receive() || timer`, has given nothing.
///
/// Each inbox object is a reader, and copies are readers of one inbox. Give each worker a copy that
/// it keeps: one that asks for the next is done with all that its object gave, and all that objects
/// gave that are gone. One inbox may serve several messengers, and its readers may be on any
/// threads. One peer's messages come one at a time: the next is given when the one before is
/// consumed.
template <class PeerId>
class inbox {
 public:
  static constexpr bool waits_for_reader = true;
  using received_type = received<PeerId>;

  inbox() : state_(std::make_shared<state>()), reader_(state_->add_reader()) {}
  inbox(const inbox& other) : state_(other.state_), reader_(state_->add_reader()) {}
  inbox(inbox&& other) noexcept : state_(other.state_), reader_(std::exchange(other.reader_, 0)) {}
  inbox& operator=(inbox other) noexcept {
    std::swap(state_, other.state_);
    std::swap(reader_, other.reader_);
    return *this;
  }
  ~inbox() {
    if (reader_ != 0) state_->remove_reader(reader_);
  }

  /// Called by the messenger: completes when a reader is done with the message.
  asio::awaitable<void> operator()(message<PeerId> m, delivery_context<PeerId>& context) {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    detail::place_offer<PeerId> place(state_, std::move(executor), std::move(m), context);
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(std::error_code)>(
        std::move(place), asio::use_awaitable);
  }

  /// Consumes all that this object gave before, and waits for the next message.
  ///
  /// Completes with: the next message, of any peer.
  /// Completes when: there is one.
  /// Errors: inbox_closed after `close`.
  /// Cancelling: ends the wait; no message is lost. With parallel operations (`||`) that needs one
  ///   thread or a strand, as Asio's cancellation does.
  template <class Token = asio::use_awaitable_t<>>
  auto receive(Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, received_type)>(
        [s = state_, reader = reader_](auto&& handler) {
          s->receive(reader, 1, std::forward<decltype(handler)>(handler),
                     [](auto&& h, std::error_code failed, batch given) {
                       std::move(h)(failed, failed ? received_type() : std::move(given.front()));
                     });
        },
        token);
  }

  /// As `receive`, with a limit.
  ///
  /// Completes with: the next message; none if there is none within `timeout`.
  template <class Token = asio::use_awaitable_t<>>
  auto receive_for(std::chrono::nanoseconds timeout, Token&& token = Token()) {
    using result = std::optional<received_type>;
    return asio::async_initiate<Token, void(std::error_code, result)>(
        [s = state_, reader = reader_](auto&& handler, std::chrono::nanoseconds limit) {
          s->receive_for(reader, limit, std::forward<decltype(handler)>(handler),
                         [](auto&& h, std::error_code failed, batch given) {
                           bool none = failed || given.empty();
                           std::move(h)(failed, none ? result() : result(std::move(given.front())));
                         });
        },
        token, timeout);
  }

  /// As `receive`, for several messages at once: at most one of each peer.
  ///
  /// Completes with: one message at least, and `most` at most; 0 counts as 1.
  template <class Token = asio::use_awaitable_t<>>
  auto receive_some(std::size_t most, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, std::vector<received_type>)>(
        [s = state_, reader = reader_](auto&& handler, std::size_t limit) {
          s->receive(reader, std::max<std::size_t>(limit, 1),
                     std::forward<decltype(handler)>(handler),
                     [](auto&& h, std::error_code failed, batch given) {
                       std::move(h)(failed, std::move(given));
                     });
        },
        token, most);
  }

  /// Consumes all that this object gave before. The next message if one waits.
  std::optional<received_type> try_receive() { return state_->try_receive(reader_); }

  /// Consumes all that this object gave, with the sends through its contexts.
  ///
  /// Completes with: nothing.
  /// Completes when: the store has it; at once if there is nothing to consume.
  /// Errors: outbox_full if something that was sent with it has no room; the message then comes
  ///   again, later. shut_down or operation_aborted if the messenger ended before it was stored;
  ///   message_returned if it had ended before: the message comes again. Of several messages the
  ///   others are consumed all the same.
  /// Cancelling: has no effect.
  template <class Token = asio::use_awaitable_t<>>
  requires(!std::derived_from<std::remove_cvref_t<Token>, message<PeerId>>) auto consume(
      Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [s = state_, reader = reader_](auto&& handler) {
          s->consume(reader,
                     detail::completion<std::error_code>(std::forward<decltype(handler)>(handler),
                                                         asio::system_executor()));
        },
        token);
  }
  /// Consumes one message of those that this object gave.
  ///
  /// Errors: as above, and message_returned if it does not have the message any more.
  template <class Token = asio::use_awaitable_t<>>
  auto consume(const message<PeerId>& m, Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code)>(
        [s = state_, reader = reader_, id = detail::loan_access::ticket(m)](auto&& handler) {
          s->consume_one(reader, id,
                         detail::completion<std::error_code>(
                             std::forward<decltype(handler)>(handler), asio::system_executor()));
        },
        token);
  }

  /// Refuses all messages from now on, those that are given back included, and ends all waits. They
  /// stay in the store. A message that was given may still be consumed; one that a `receive` has
  /// completed with, whose handler is yet to run, is given.
  void close() { state_->close(); }

 private:
  using state = detail::inbox_state<PeerId>;
  using batch = std::vector<received_type>;

  std::shared_ptr<state> state_;
  std::uint64_t reader_;
};

ILM_INSTANCE(class inbox<std::string>);

}  // namespace ilm::inline v0
