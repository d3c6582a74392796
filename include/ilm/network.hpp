#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/message.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// The kinds of events that a network gives.
enum class network_event_type : std::uint8_t { up, down, frame, problem };

/// The result of a network's `receive`.
template <class PeerId>
struct network_event {
  using type = network_event_type;

  static network_event up(PeerId peer) { return {type::up, std::move(peer), {}}; }
  static network_event down(PeerId peer) { return {type::down, std::move(peer), {}}; }
  static network_event frame(PeerId from, std::vector<std::byte> bytes) {
    return {type::frame, std::move(from), std::move(bytes)};
  }
  static network_event problem(std::optional<PeerId> peer, std::error_code error,
                               std::string text = {}) {
    network_event e(type::problem, peer ? std::move(*peer) : PeerId(), {});
    e.named = peer.has_value();
    e.error = error;
    e.text = std::move(text);
    return e;
  }

  network_event() = default;
  network_event(type kind_, PeerId peer_, std::vector<std::byte> bytes_)
      : kind(kind_), peer(std::move(peer_)), bytes(std::move(bytes_)) {}

  type kind{};
  PeerId peer{};
  std::vector<std::byte> bytes;
  /// For `problem`: the reason, a text if there is more to say than the message of `error`, and
  /// whether `peer` is known.
  std::error_code error;
  std::string text;
  bool named = true;
};

namespace detail {

// The concept `network`, one for each operation: a failure has a name.

template <class N>
concept network_local_id = requires(N n) {
  n.local_id();
};
template <class N>
using local_id_of = std::decay_t<decltype(std::declval<N&>().local_id())>;

template <class N>
concept network_reliability = requires {
  { N::reliable } -> std::convertible_to<bool>;
};
template <class N>
concept network_frame_size = requires(N n) {
  { n.maximum_frame_size() } -> std::convertible_to<std::size_t>;
};
template <class N>
concept network_send = requires(N n, const local_id_of<N>& peer, std::vector<std::byte> frame) {
  { n.send(peer, std::move(frame)) } -> std::same_as<asio::awaitable<void>>;
};
template <class N>
concept network_receive = requires(N n) {
  { n.receive() } -> std::same_as<asio::awaitable<network_event<local_id_of<N>>>>;
};

}  // namespace detail

/// Best-effort frames, and presence.
///
/// | expression               | result                             |
/// |--------------------------|------------------------------------|
/// | `N::reliable`            | `bool`, constant                   |
/// | `n.local_id()`           | `PeerId`                           |
/// | `n.maximum_frame_size()` | `std::size_t`                      |
/// | `n.send(peer, frame)`    | `awaitable<void>`                  |
/// | `n.receive()`            | `awaitable<network_event<PeerId>>` |
///
/// `reliable`: true if within a session no frame is lost, repeated, changed or overtaken. Then
/// nothing is sent again before the session ends.
///
/// `local_id`: The name under which the other peers know this one.
///
/// `maximum_frame_size`: The largest frame in bytes, at least `minimum_frame_size`; constant, and
/// the same on both sides.
///
/// `send`: Hands a whole frame over, or drops it: also when there is no session. May wait while the
/// transport is full; that delays this peer alone. At most one send to a peer runs at a time, to
/// several peers at once. A throw counts as a loss, and on a reliable network as the end of the
/// session; its text is in an event network_problem, once for each error and session.
///
/// `receive`: Completes with the next event: `up` when a session begins, `down` when it ends,
/// `frame` with the bytes that arrived and their sender, as the network authenticated it.
/// `problem`, which a network need not give, tells why there is no session with a peer, or with a
/// stranger that claims to be it; it becomes the event network_problem and has no other effect. One
/// receive runs at a time. A throw means that the network has ended for good; its text is in the
/// event network_ended.
///
/// A network is a movable handle that the messenger owns; destroying it leaves the network. Its
/// coroutines run on the messenger's strand and end with an error on terminal cancellation. A
/// network that cannot tell when peers come and go reports `up` once for each and is done.
template <class N>
concept network =
    std::move_constructible<N> && detail::network_reliability<N> && detail::network_local_id<N> &&
    detail::network_frame_size<N> && detail::network_send<N> && detail::network_receive<N>;

/// The peer id type of a network.
template <network N>
using peer_id_of = detail::local_id_of<N>;

/// A peer id must be regular, ordered, and with a codec that gives 1 to 255 bytes.
template <class P>
concept peer_identity = std::regular<P> && std::totally_ordered<P> && encodable<P>;

}  // namespace ilm::inline v0
