#pragma once

#include <ilm/backend.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/check_peer_id.hpp>
#include <ilm/network.hpp>

#include <compare>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <vector>

// The parts of a messenger are checked one operation at a time, so that a compiler says in one line
// which member a part lacks. The conditions are constants, for a compiler explains a concept in
// many lines more.

namespace ilm::inline v0::detail {

template <class T>
inline constexpr bool moves = std::move_constructible<T>;

template <class N>
inline constexpr bool has_reliable = network_reliability<N>;
template <class N>
inline constexpr bool has_local_id = network_local_id<N>;
template <class N>
inline constexpr bool has_frame_size = network_frame_size<N>;
template <class N>
inline constexpr bool has_send = !has_local_id<N> || network_send<N>;
template <class N>
inline constexpr bool has_receive = !has_local_id<N> || network_receive<N>;

template <class N>
struct assert_network {
  static_assert(moves<N>, "this is no ilm::network: it cannot be moved");
  static_assert(has_reliable<N>,
                "this is no ilm::network: it lacks `static constexpr bool reliable`");
  static_assert(has_local_id<N>, "this is no ilm::network: it lacks `PeerId local_id()`");
  static_assert(has_frame_size<N>,
                "this is no ilm::network: it lacks `std::size_t maximum_frame_size()`");
  static_assert(has_send<N>,
                "this is no ilm::network: it lacks `asio::awaitable<void> send(const PeerId&, "
                "std::vector<std::byte>)`");
  static_assert(has_receive<N>,
                "this is no ilm::network: it lacks `asio::awaitable<ilm::network_event<PeerId>> "
                "receive()`, where PeerId is the type that local_id() returns");
};

template <class B>
inline constexpr bool has_durability = backend_durability<B>;
template <class B, class PeerId>
inline constexpr bool has_open = backend_open<B, PeerId>;
template <class B, class PeerId>
inline constexpr bool has_commit = !has_open<B, PeerId> || backend_commit<B, PeerId>;
template <class B, class PeerId>
inline constexpr bool has_read = !has_open<B, PeerId> || backend_read<B, PeerId>;
template <class B>
inline constexpr bool has_close = backend_close<B>;

template <class B, class PeerId>
struct assert_backend {
  static_assert(moves<B>, "this is no ilm::backend: it cannot be moved");
  static_assert(has_durability<B>,
                "this is no ilm::backend: it lacks `static constexpr ilm::durability durable_to`");
  static_assert(has_open<B, PeerId>,
                "this is no ilm::backend: it lacks `asio::awaitable<ilm::store_state<PeerId>> "
                "open()`, where PeerId is the network's");
  static_assert(has_commit<B, PeerId>,
                "this is no ilm::backend: it lacks `asio::awaitable<void> commit(const "
                "ilm::batch<PeerId>&)`");
  static_assert(has_read<B, PeerId>,
                "this is no ilm::backend: it lacks `asio::awaitable<std::vector<"
                "ilm::stored_message>> read(ilm::queue, const PeerId&, std::uint64_t, "
                "ilm::page_limit)`");
  static_assert(has_close<B>, "this is no ilm::backend: it lacks `asio::awaitable<void> close()`");
};

template <class D, class PeerId>
inline constexpr bool takes_a_message = delivery_call<D, PeerId>;
template <class D, class PeerId>
inline constexpr bool returns_an_end = true;
template <class D, class PeerId>
requires delivery_call<D, PeerId>
inline constexpr bool returns_an_end<D, PeerId> = delivery_result<D, PeerId>;

template <class D, class PeerId>
struct assert_delivery {
  static_assert(moves<D>, "this is no ilm::delivery: it cannot be moved");
  static_assert(
      takes_a_message<D, PeerId>,
      "this is no ilm::delivery: it can be called neither with an ilm::message<PeerId> nor "
      "with one and an ilm::delivery_context<PeerId>&, where PeerId is the network's");
  static_assert(returns_an_end<D, PeerId>,
                "this is no ilm::delivery: it returns neither void nor ilm::outcome, nor an "
                "asio::awaitable of one");
};

/// Asserts about the network; if it is right, about its peer id; if that is right, about the other
/// parts.
template <class Backend, class Network, class Delivery>
constexpr void assert_parts() {
  if constexpr (!network<Network>) {
    assert_network<Network>();
  } else if constexpr (!is_ordered_id<local_id_of<Network>> || !has_codec<local_id_of<Network>>) {
    assert_peer_id<local_id_of<Network>>();
  } else {
    assert_backend<Backend, local_id_of<Network>>();
    assert_delivery<Delivery, local_id_of<Network>>();
  }
}

template <class Backend, class Network, class Delivery>
inline constexpr bool parts_fit = false;
template <class Backend, network Network, class Delivery>
inline constexpr bool parts_fit<Backend, Network, Delivery> = peer_identity<peer_id_of<Network>>&&
    backend<Backend, peer_id_of<Network>>&& delivery<Delivery, peer_id_of<Network>>;

/// The peer id of a messenger with parts that do not fit. Any id converts to it, so that the use of
/// such a messenger gives no errors beside those of assert_parts.
struct any_peer_id {
  any_peer_id() = default;
  template <class T>
  requires(!std::same_as<std::decay_t<T>, any_peer_id>) any_peer_id(T&&)
  noexcept {}

  friend auto operator<=>(const any_peer_id&, const any_peer_id&) = default;
};

template <bool Fit, class Network>
struct peer_id_if {
  using type = any_peer_id;
};
template <class Network>
struct peer_id_if<true, Network> {
  using type = local_id_of<Network>;
};

/// The peer id of a messenger with these parts.
template <class Backend, class Network, class Delivery>
using checked_peer_id = typename peer_id_if<parts_fit<Backend, Network, Delivery>, Network>::type;

}  // namespace ilm::inline v0::detail

template <>
struct ilm::codec<ilm::detail::any_peer_id> {
  static void encode(const detail::any_peer_id&, std::vector<std::byte>&) {}
  static detail::any_peer_id decode(std::span<const std::byte>) { return {}; }
};
