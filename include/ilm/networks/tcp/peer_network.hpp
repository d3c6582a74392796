#pragma once

#include <ilm/message.hpp>
#include <ilm/network.hpp>
#include <ilm/networks/tcp/interface.hpp>

#include <asio/awaitable.hpp>
#include <asio/ip/basic_endpoint.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

namespace detail::tcp {
template <class PeerId>
class peer_network;
}

/// Reaches a tcp_network from any thread, before and after a messenger took it over. Once the
/// network is gone nothing has an effect. Copies are handles to the same network.
template <class PeerId = std::string>
class tcp_control {
 public:
  /// Puts a peer into the address book, or others in the place of its addresses. It is dialed
  /// whenever there is no session with it, at all of its addresses. An address is `host:port` or
  /// `[IPv6 address]:port`; a name is looked up for every attempt. Others than before are also a
  /// hint, as `reconnect` gives it.
  ///
  /// Throws std::system_error: tcp_error::bad_address with a text that names the mistake, also if
  /// there is no address, tcp_error::own_id, error::invalid_peer_id.
  void add_peer(const PeerId& id, std::string_view address) { add_peer(id, {address}); }
  void add_peer(const PeerId& id, std::initializer_list<std::string_view> addresses) {
    control_->add_peer(encode(id), addresses);
  }
  void add_peer(const PeerId& id, std::span<const std::string> addresses) {
    std::vector<std::string_view> texts(addresses.begin(), addresses.end());
    control_->add_peer(encode(id), texts);
  }

  /// Takes a peer out of the address book and ends its session. It is let in if it dials,
  /// but for tcp_options::address_book_only.
  void remove_peer(const PeerId& id) { control_->remove_peer(encode(id)); }

  /// A hint that the peer may be reachable now: dials it at once, and gives up an attempt that is
  /// under way. A session is asked for a sign of life, and ended after 1 s without one; one that is
  /// alive is not disturbed.
  void reconnect(const PeerId& id) { control_->reconnect(encode(id)); }

  /// The port on which the network listens; 0 if it does not, or not yet.
  std::uint16_t port() const noexcept { return control_->port(); }

 private:
  friend class detail::tcp::peer_network<PeerId>;

  explicit tcp_control(std::shared_ptr<detail::tcp::encoded_control> control)
      : control_(std::move(control)) {}

  static std::vector<std::byte> encode(const PeerId& id) {
    std::vector<std::byte> encoded;
    codec<PeerId>::encode(id, encoded);
    return encoded;
  }

  std::shared_ptr<detail::tcp::encoded_control> control_;
};

namespace detail::tcp {

/// A network of streams for a user's type of peer id: all that tcp_network and others of its kind
/// have in common.
template <class PeerId>
class peer_network {
 public:
  using peer_id = PeerId;
  using event = network_event<PeerId>;
  static constexpr bool reliable = true;

  peer_network(peer_network&&) noexcept = default;
  peer_network& operator=(peer_network&& other) noexcept {
    leave();
    local_id_ = std::move(other.local_id_);
    network_ = std::move(other.network_);
    return *this;
  }
  ~peer_network() { leave(); }

  /// Listens on `address`, such as `0.0.0.0:4711` or `[::]:4711`; port 0 takes a free one. The
  /// system keeps connections until the first `receive`. A name is looked up from then on, and its
  /// first address is taken: the network listens when it is found, and a failure to look it up or
  /// to listen there is a problem, and tried again. Throws std::system_error:
  /// tcp_error::bad_address, or, of a numeric host, the system's error, such as
  /// std::errc::address_in_use. A network listens at one address.
  void listen(std::string_view address) { network_->listen(address); }

  /// Where it listens, as an asio::ip::tcp::endpoint. Throws std::system_error if it does not, or
  /// not yet.
  asio::ip::basic_endpoint<asio::ip::tcp> local_endpoint() const {
    return network_->local_endpoint();
  }
  std::uint16_t port() const noexcept { return network_->control()->port(); }

  /// As those of tcp_control.
  void add_peer(const PeerId& id, std::string_view address) { control().add_peer(id, address); }
  void add_peer(const PeerId& id, std::initializer_list<std::string_view> addresses) {
    control().add_peer(id, addresses);
  }
  void add_peer(const PeerId& id, std::span<const std::string> addresses) {
    control().add_peer(id, addresses);
  }
  void remove_peer(const PeerId& id) { control().remove_peer(id); }
  void reconnect(const PeerId& id) { control().reconnect(id); }

  /// A handle that goes on working when a messenger owns the network.
  tcp_control<PeerId> control() const { return tcp_control<PeerId>(network_->control()); }

  PeerId local_id() const { return local_id_; }
  std::size_t maximum_frame_size() const { return network_->maximum_frame_size(); }

  /// Completes when: less than tcp_options::send_buffer waits for the peer, or its session has
  ///   ended. A frame is dropped if there is no session of which `receive` gave the `up`.
  /// Errors: error::frame_too_large.
  /// Cancelling: ends the wait; the frame is sent all the same.
  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    std::shared_ptr<encoded_network> network = network_;
    std::vector<std::byte> peer = encode(to);
    co_await network->send(peer, std::move(frame));
  }

  /// Completes with: the next event. `up` and `down` alternate for a peer, its frames come between
  ///   them, and peers take turns. A dial that fails is reported as a problem once until it fails
  ///   for another reason; of refused connections, 16 for each reason are reported at once and then
  ///   fewer and fewer, counted.
  ///   An exception of the peer id or its codec ends the session, which is a problem, too.
  /// Errors: error::network_ended if the network was destroyed meanwhile.
  /// Cancelling: ends the wait; no event is lost.
  asio::awaitable<event> receive() {
    std::shared_ptr<encoded_network> network = network_;
    for (;;) {
      encoded_event next = co_await network->receive();
      std::optional<event> given = decoded_or_rejected(*network, next);
      if (given) co_return std::move(*given);
    }
  }

 protected:
  /// `make` makes the network of an encoded id and a check of encoded ids.
  template <class Make>
  peer_network(PeerId local_id, Make make)
      : local_id_(std::move(local_id)), network_(make(encode(local_id_), is_peer_id)) {}

 private:
  using encoded_network = detail::tcp::encoded_network;
  using encoded_event = detail::tcp::encoded_event;

  static std::vector<std::byte> encode(const PeerId& id) { return tcp_control<PeerId>::encode(id); }

  static bool is_peer_id(std::span<const std::byte> encoded) {
    try {
      return std::ranges::equal(encode(codec<PeerId>::decode(encoded)), encoded);
    } catch (const std::bad_alloc&) {
      throw;  // which says nothing of the id
    } catch (...) {
      return false;
    }
  }

  /// An exception of the peer id or its codec concerns one session: it ends, and none is returned.
  /// Throws where the end of a session cannot be told.
  static std::optional<event> decoded_or_rejected(encoded_network& network, encoded_event& e) {
    failure why;
    try {
      return decoded(e);
    } catch (...) {
      why = failure_of(std::current_exception());
    }
    if (e.kind == encoded_event::type::down) return decoded_or_end(network, e);
    if (e.kind == encoded_event::type::problem) {
      return event::problem(std::nullopt, e.why.code, std::move(e.why.text));
    }
    network.reject(e, std::move(why));
    return std::nullopt;
  }

  /// The end of a session has to be told, or else that of the network.
  static event decoded_or_end(encoded_network& network, encoded_event& e) {
    try {
      return decoded(e);
    } catch (...) {
      network.close();
      throw;
    }
  }

  /// An event that throws here is as it was.
  static event decoded(encoded_event& e) {
    std::optional<PeerId> peer;
    if (e.peer) peer.emplace(codec<PeerId>::decode(*e.peer));
    switch (e.kind) {
      case encoded_event::type::up:
        return event::up(std::move(*peer));
      case encoded_event::type::down:
        return event::down(std::move(*peer));
      case encoded_event::type::frame:
        return event::frame(std::move(*peer), std::move(e.frame));
      case encoded_event::type::problem:
        break;
    }
    return event::problem(std::move(peer), e.why.code, std::move(e.why.text));
  }

  void leave() {
    if (network_) network_->close();
  }

  PeerId local_id_;
  std::shared_ptr<encoded_network> network_;
};

}  // namespace detail::tcp

}  // namespace ilm::inline v0
