#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/message.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm {

/// What `receive` of a network gives.
template <class PeerId>
struct network_event {
  enum class type : std::uint8_t { up, down, frame, problem };

  static network_event up(PeerId peer) { return {type::up, std::move(peer), {}}; }
  static network_event down(PeerId peer) { return {type::down, std::move(peer), {}}; }
  static network_event frame(PeerId from, std::vector<std::byte> bytes) {
    return {type::frame, std::move(from), std::move(bytes)};
  }
  static network_event problem(std::optional<PeerId> peer, std::error_code why) {
    network_event e(type::problem, peer ? std::move(*peer) : PeerId(), {});
    e.named = peer.has_value();
    e.error = why;
    return e;
  }

  network_event() = default;
  network_event(type what, PeerId whose, std::vector<std::byte> data)
      : kind(what), peer(std::move(whose)), bytes(std::move(data)) {}

  type kind{};
  PeerId peer{};
  std::vector<std::byte> bytes;
  /// For `problem`: why, and whether `peer` says with whom.
  std::error_code error;
  bool named = true;
};

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
/// session.
///
/// `receive`: Completes with the next event: `up` when a session begins, `down` when it ends,
/// `frame` with what arrived and from whom. The peer is whom the network authenticated. `problem`,
/// which a network need not give, tells why there is no session with a peer, or with somebody who
/// claims to be it; it becomes the event network_problem and has no other effect. One receive runs
/// at a time. A throw means that the network has ended for good.
///
/// A network is a movable handle that the messenger owns; destroying it leaves the network. Its
/// coroutines run on the messenger's strand and end with an error on terminal cancellation. A
/// network that cannot tell when peers come and go reports `up` once for each and is done.
template <class N>
concept network = std::move_constructible<N> && requires(N n) {
  n.local_id();
} && requires(N n, const std::decay_t<decltype(n.local_id())>& peer, std::vector<std::byte> frame) {
  { N::reliable } -> std::convertible_to<bool>;
  { n.maximum_frame_size() } -> std::convertible_to<std::size_t>;
  { n.send(peer, std::move(frame)) } -> std::same_as<asio::awaitable<void>>;
  {
    n.receive()
    } -> std::same_as<asio::awaitable<network_event<std::decay_t<decltype(n.local_id())>>>>;
};

/// The peer id type of a network.
template <network N>
using peer_id_of = std::decay_t<decltype(std::declval<N&>().local_id())>;

/// What a peer id must be: regular, ordered, and with a codec that gives 1 to 255 bytes.
template <class P>
concept peer_identity = std::regular<P> && std::totally_ordered<P> && encodable<P>;

}  // namespace ilm
