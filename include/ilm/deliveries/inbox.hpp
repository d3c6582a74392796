#pragma once

#include <ilm/delivery.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::inline v0 {

/// A delivery to wait on: `message<PeerId> m = co_await inbox.receive()`. A message counts as
/// consumed when a receive has it. Copies are handles to one inbox; it may serve several messengers
/// and readers, on any threads.
template <class PeerId>
class inbox {
 public:
  static constexpr bool waits_for_reader = true;

  inbox() : state_(std::make_shared<state>()) {}

  /// Called by the messenger: completes when a reader has the message.
  asio::awaitable<void> operator()(message<PeerId> m) {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    place_offer place(state_, std::move(executor), std::move(m));
    co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(std::error_code)>(
        std::move(place), asio::use_awaitable);
  }

  /// Completes with: the next message, of any peer.
  /// Completes when: there is one.
  /// Errors: inbox_closed after `close`.
  /// Cancelling: ends the wait; no message is lost.
  template <class Token = asio::use_awaitable_t<>>
  auto receive(Token&& token = Token()) {
    return asio::async_initiate<Token, void(std::error_code, message<PeerId>)>(
        [s = state_](auto&& handler) {
          std::lock_guard lock(s->mutex);
          std::uint64_t id = s->connect(handler, s);
          reader r(std::forward<decltype(handler)>(handler), asio::system_executor());
          if (s->closed) return r(error::inbox_closed, {});
          if (s->offers.empty()) {
            s->readers.emplace_back(id, std::move(r));
          } else {
            r({}, s->take());
          }
        },
        token);
  }

  /// A message if one waits.
  std::optional<message<PeerId>> try_receive() {
    std::lock_guard lock(state_->mutex);
    if (state_->offers.empty()) return std::nullopt;
    return state_->take();
  }

  /// Refuses all messages from now on, and ends all waits. Other messages stay in the store.
  void close() {
    std::lock_guard lock(state_->mutex);
    state_->closed = true;
    for (auto& [id, r] : std::exchange(state_->readers, {})) r(error::inbox_closed, {});
    for (offer& o : std::exchange(state_->offers, {})) o.consumed(error::inbox_closed);
  }

 private:
  using reader = detail::completion<std::error_code, message<PeerId>>;

  struct offer {
    offer(std::uint64_t id_, message<PeerId> contents_,
          detail::completion<std::error_code> consumed_)
        : id(id_), contents(std::move(contents_)), consumed(std::move(consumed_)) {}

    std::uint64_t id;
    message<PeerId> contents;
    detail::completion<std::error_code> consumed;
  };

  struct state {
    message<PeerId> take() {
      offer o = std::move(offers.front());
      offers.pop_front();
      o.consumed({});
      return std::move(o.contents);
    }

    /// Lets the handler's cancellation slot withdraw the operation named by the result.
    template <class Handler>
    std::uint64_t connect(Handler& handler, const std::shared_ptr<state>& self) {
      std::uint64_t id = ++ids;
      auto slot = asio::get_associated_cancellation_slot(handler);
      if (slot.is_connected()) {
        slot.assign([weak = std::weak_ptr<state>(self), id](asio::cancellation_type) {
          if (auto alive = weak.lock()) alive->cancel(id);
        });
      }
      return id;
    }

    void cancel(std::uint64_t id) {
      std::lock_guard lock(mutex);
      auto o = std::find_if(offers.begin(), offers.end(), [id](auto& x) { return x.id == id; });
      if (o != offers.end()) {
        o->consumed(asio::error::operation_aborted);
        offers.erase(o);
      }
      auto r =
          std::find_if(readers.begin(), readers.end(), [id](auto& x) { return x.first == id; });
      if (r != readers.end()) {
        r->second(asio::error::operation_aborted, {});
        readers.erase(r);
      }
    }

    std::mutex mutex;
    std::deque<offer> offers;
    std::deque<std::pair<std::uint64_t, reader>> readers;
    std::uint64_t ids = 0;
    bool closed = false;
  };

  /// Starts an offer: gives the message to a reader that waits, or queues it.
  class place_offer {
   public:
    place_offer(std::shared_ptr<state> s, asio::any_io_executor executor, message<PeerId> m)
        : state_(std::move(s)), executor_(std::move(executor)), message_(std::move(m)) {}

    template <class Handler>
    void operator()(Handler&& handler) {
      std::lock_guard lock(state_->mutex);
      std::uint64_t id = state_->connect(handler, state_);
      detail::completion<std::error_code> consumed(std::forward<Handler>(handler), executor_);
      if (state_->closed) return consumed(error::inbox_closed);
      state_->offers.emplace_back(id, std::move(message_), std::move(consumed));
      if (state_->readers.empty()) return;
      reader r = std::move(state_->readers.front().second);
      state_->readers.pop_front();
      r({}, state_->take());
    }

   private:
    std::shared_ptr<state> state_;
    asio::any_io_executor executor_;
    message<PeerId> message_;
  };

  std::shared_ptr<state> state_;
};

}  // namespace ilm::inline v0
