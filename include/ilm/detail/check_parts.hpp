#pragma once

#include <ilm/backend.hpp>
#include <ilm/delivery.hpp>
#include <ilm/detail/check_peer_id.hpp>
#include <ilm/network.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>

// The parts of a messenger are checked one operation at a time, so that a compiler says in one line
// what a part lacks. The conditions are constants, for a compiler explains a concept in many lines
// more. A check that fails keeps the checks that build on it quiet.

namespace ilm::detail {

template <class N>
struct check_network {
  static constexpr bool moves = std::move_constructible<N>;
  static constexpr bool has_reliable = network_reliability<N>;
  static constexpr bool has_local_id = network_local_id<N>;
  static constexpr bool has_frame_size = network_frame_size<N>;
  static constexpr bool sends = network_send<N>;
  static constexpr bool receives = network_receive<N>;

  static_assert(moves, "this is no ilm::network: it cannot be moved");
  static_assert(has_reliable, "this is no ilm::network: it lacks `static constexpr bool reliable`");
  static_assert(has_local_id, "this is no ilm::network: it lacks `PeerId local_id()`");
  static_assert(has_frame_size,
                "this is no ilm::network: it lacks `std::size_t maximum_frame_size()`");
  static_assert(!has_local_id || sends,
                "this is no ilm::network: it lacks `asio::awaitable<void> send(const PeerId&, "
                "std::vector<std::byte>)`");
  static_assert(!has_local_id || receives,
                "this is no ilm::network: it lacks `asio::awaitable<ilm::network_event<PeerId>> "
                "receive()`, where PeerId is the type that local_id() returns");

  static constexpr bool holds = network<N>;
};

template <class B, class PeerId>
struct check_backend {
  static constexpr bool moves = std::move_constructible<B>;
  static constexpr bool has_durability = backend_durability<B>;
  static constexpr bool opens = backend_open<B, PeerId>;
  static constexpr bool commits = backend_commit<B, PeerId>;
  static constexpr bool reads = backend_read<B, PeerId>;
  static constexpr bool closes = backend_close<B>;

  static_assert(moves, "this is no ilm::backend: it cannot be moved");
  static_assert(has_durability,
                "this is no ilm::backend: it lacks `static constexpr ilm::durability durable_to`");
  static_assert(opens,
                "this is no ilm::backend: it lacks `asio::awaitable<ilm::store_state<PeerId>> "
                "open()`, where PeerId is the network's");
  static_assert(!opens || commits,
                "this is no ilm::backend: it lacks `asio::awaitable<void> commit(const "
                "ilm::batch<PeerId>&)`");
  static_assert(!opens || reads,
                "this is no ilm::backend: it lacks `asio::awaitable<std::vector<"
                "ilm::stored_message>> read(ilm::box, const PeerId&, std::uint64_t, "
                "ilm::page_limit)`");
  static_assert(closes, "this is no ilm::backend: it lacks `asio::awaitable<void> close()`");

  static constexpr bool holds = backend<B, PeerId>;
};

template <class D, class PeerId>
struct check_delivery {
  static constexpr bool moves = std::move_constructible<D>;
  static constexpr bool takes_a_message = delivery_call<D, PeerId>;

  template <bool Callable>
  static constexpr bool result_holds() {
    if constexpr (Callable) return delivery_result<D, PeerId>;
    return true;
  }
  static constexpr bool returns_nothing = result_holds<takes_a_message>();

  static_assert(moves, "this is no ilm::delivery: it cannot be moved");
  static_assert(takes_a_message,
                "this is no ilm::delivery: it cannot be called with an ilm::message<PeerId>, where "
                "PeerId is the network's");
  static_assert(returns_nothing,
                "this is no ilm::delivery: it returns neither void nor asio::awaitable<void>");

  static constexpr bool holds = delivery<D, PeerId>;
};

/// Stands for the peer id of a messenger whose parts do not fit, so that its use gives no errors
/// that hide the first one.
struct any_peer_id {
  any_peer_id() = default;
  template <class T>
  requires(!std::same_as<std::decay_t<T>, any_peer_id>) any_peer_id(T&&)
  noexcept {}
  friend auto operator<=>(const any_peer_id&, const any_peer_id&) = default;
};

/// Checks the network, then its peer id, then the other parts. `holds` says whether all fit.
template <class Backend, class Network, class Delivery>
struct check_parts {
 private:
  struct misfit {
    using peer_id = any_peer_id;
    static constexpr bool holds = false;
  };
  template <class PeerId>
  struct fit {
    using peer_id = PeerId;
    static constexpr bool holds =
        check_backend<Backend, PeerId>::holds & check_delivery<Delivery, PeerId>::holds;
  };

  static constexpr auto check() {
    if constexpr (check_network<Network>::holds) {
      if constexpr (check_peer_id<local_id_of<Network>>::holds) {
        return std::type_identity<fit<local_id_of<Network>>>();
      } else {
        return std::type_identity<misfit>();
      }
    } else {
      return std::type_identity<misfit>();
    }
  }
  using result = typename decltype(check())::type;

 public:
  static constexpr bool holds = result::holds;
  using peer_id = std::conditional_t<holds, typename result::peer_id, any_peer_id>;
};

}  // namespace ilm::detail
