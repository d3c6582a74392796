#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/message.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <type_traits>
#include <utility>

namespace ilm::inline v0 {

namespace detail {

template <class D, class PeerId>
concept delivery_call = requires(D d, message<PeerId> m) {
  d(std::move(m));
};
template <class D, class PeerId>
concept delivery_result = std::is_void_v<std::invoke_result_t<D&, message<PeerId>>> ||
    std::same_as<std::invoke_result_t<D&, message<PeerId>>, asio::awaitable<void>>;

}  // namespace detail

/// Where messages go: a callable that takes a `message<PeerId>`.
///
/// | expression            | result                      |
/// |-----------------------|-----------------------------|
/// | `d(message)`          | `void` or `awaitable<void>` |
/// | `D::waits_for_reader` | `bool`, optional constant   |
///
/// `d(message)`: The application has consumed the message when it returns or completes. A throw
/// means that it has not: the message is delivered again, after a delay that grows, and nothing
/// from that peer overtakes it.
///
/// `waits_for_reader`: true if the call completes only when somebody reads, so that a shutdown must
/// not wait for it.
///
/// One peer's messages come one at a time, different peers' at the same time. The calls run on the
/// messenger's strand; one that must block moves elsewhere, or it delays all peers. A messenger
/// that is destroyed or shut down cancels a call that still runs (terminal cancellation).
template <class D, class PeerId>
concept delivery = std::move_constructible<D> && detail::delivery_call<D, PeerId> &&
    detail::delivery_result<D, PeerId>;

}  // namespace ilm::inline v0
