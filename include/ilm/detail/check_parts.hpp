#pragma once

#include <ilm/backend.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/check_peer_id.hpp>
#include <ilm/network.hpp>

#include <asio/awaitable.hpp>

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

// The parts of a messenger are checked one operation at a time, so that a compiler says in one line
// what a part lacks. The conditions are constants, for a compiler explains a concept in many lines
// more.

namespace ilm::detail {

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
                "ilm::stored_message>> read(ilm::box, const PeerId&, std::uint64_t, "
                "ilm::page_limit)`");
  static_assert(has_close<B>, "this is no ilm::backend: it lacks `asio::awaitable<void> close()`");
};

template <class D, class PeerId>
inline constexpr bool takes_a_message = delivery_call<D, PeerId>;
template <class D, class PeerId>
inline constexpr bool returns_nothing = true;
template <class D, class PeerId>
requires delivery_call<D, PeerId>
inline constexpr bool returns_nothing<D, PeerId> = delivery_result<D, PeerId>;

template <class D, class PeerId>
struct assert_delivery {
  static_assert(moves<D>, "this is no ilm::delivery: it cannot be moved");
  static_assert(takes_a_message<D, PeerId>,
                "this is no ilm::delivery: it cannot be called with an ilm::message<PeerId>, where "
                "PeerId is the network's");
  static_assert(returns_nothing<D, PeerId>,
                "this is no ilm::delivery: it returns neither void nor asio::awaitable<void>");
};

/// Asserts what is wrong with the network; if nothing is, with its peer id; if nothing is, with the
/// other parts.
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

/// Stands for each part, and for the peer id, of a messenger whose parts do not fit: then nothing
/// that the messenger does with them gives errors beside the one that says why.
struct stand_in {
  static constexpr durability durable_to = durability::process;
  static constexpr bool reliable = true;

  stand_in() = default;
  template <class T>
  requires(!std::same_as<std::decay_t<T>, stand_in>) stand_in(T&&)
  noexcept {}

  asio::awaitable<store_state<stand_in>> open();
  asio::awaitable<void> commit(const batch<stand_in>&);
  asio::awaitable<std::vector<stored_message>> read(box, const stand_in&, std::uint64_t,
                                                    page_limit);
  asio::awaitable<void> close();

  stand_in local_id();
  std::size_t maximum_frame_size();
  asio::awaitable<void> send(const stand_in&, std::vector<std::byte>);
  asio::awaitable<network_event<stand_in>> receive();

  void operator()(const message<stand_in>&);

  friend auto operator<=>(const stand_in&, const stand_in&) = default;
};

}  // namespace ilm::detail

template <>
struct ilm::codec<ilm::detail::stand_in> {
  static void encode(const detail::stand_in&, std::vector<std::byte>&);
  static detail::stand_in decode(std::span<const std::byte>);
};

namespace ilm::detail {

/// The parts of a messenger and its peer id, or stand-ins if the parts do not fit. The messenger's
/// constructor then says why, by assert_parts.
template <class Backend, class Network, class Delivery>
struct fitting_parts {
  static constexpr bool fit = parts_fit<Backend, Network, Delivery>;
  using backend = std::conditional_t<fit, Backend, stand_in>;
  using network = std::conditional_t<fit, Network, stand_in>;
  using delivery = std::conditional_t<fit, Delivery, stand_in>;
  using peer_id = local_id_of<network>;
};

}  // namespace ilm::detail
