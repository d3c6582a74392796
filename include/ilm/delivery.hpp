#pragma once

#include <ilm/delivery_context.hpp>
#include <ilm/detail/co_await.hpp>
#include <ilm/message.hpp>
#include <ilm/outcome.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace ilm::inline v0 {

namespace detail {

template <class D, class PeerId>
concept delivery_takes_context = std::invocable < D&,
        message<PeerId>, delivery_context<PeerId>
& > ;
template <class D, class PeerId>
concept delivery_call = delivery_takes_context<D, PeerId> || std::invocable<D&, message<PeerId>>;

template <class D, class PeerId>
struct delivery_returns : std::invoke_result<D&, message<PeerId>> {};
template <class D, class PeerId>
requires delivery_takes_context<D, PeerId>
struct delivery_returns<D, PeerId>
    : std::invoke_result<D&, message<PeerId>, delivery_context<PeerId>&> {
};
template <class D, class PeerId>
using delivery_returns_t = typename delivery_returns<D, PeerId>::type;

template <class D, class PeerId>
concept delivery_result = std::is_void_v<delivery_returns_t<D, PeerId>> ||
    std::same_as<delivery_returns_t<D, PeerId>, outcome> ||
    std::same_as<delivery_returns_t<D, PeerId>, asio::awaitable<void>> ||
    std::same_as<delivery_returns_t<D, PeerId>, asio::awaitable<outcome>>;

}  // namespace detail

/// Where messages go: a callable that takes a `message<PeerId>`, and a `delivery_context<PeerId>`
/// if it likes.
///
/// | expression            | result                                      |
/// |-----------------------|---------------------------------------------|
/// | `d(message)`          | `void` or `outcome`, or an awaitable of one |
/// | `d(message, context)` | the same, instead                           |
/// | `D::waits_for_reader` | `bool`, optional constant                   |
///
/// `d(message)`: The application has consumed the message when it returns or completes, unless an
/// ilm::outcome says otherwise. A throw means that it has not: the message is delivered again,
/// after a delay that grows, and nothing from that peer overtakes it.
///
/// `d(message, context)`: Its sends with `context.send_to` are stored with the consumption, in one
/// commit. The context is an lvalue; it may be taken by value or by reference.
///
/// `waits_for_reader`: true if the call completes only when somebody reads, so that a shutdown must
/// not wait for it.
///
/// One peer's messages come one at a time, different peers' at the same time. The calls run on the
/// messenger's strand; one that must block moves elsewhere, or it delays all peers. A messenger
/// that is destroyed or shut down cancels a call that still runs (terminal cancellation).
/// While one goes on all the same, the store stays with that messenger, and the next one gets
/// error::store_in_use: no message is with two calls at a time. A call whose coroutine is destroyed
/// has ended, and the message is delivered again.
template <class D, class PeerId>
concept delivery = std::move_constructible<D> && detail::delivery_call<D, PeerId> &&
    detail::delivery_result<D, PeerId>;

}  // namespace ilm::inline v0
