#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>
#include <ilm/network.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/core.hpp>
#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/mailbox.hpp>
#include <ilm/networks/tcp/options.hpp>

#include <asio/ip/tcp.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

template <class PeerId = std::string>
class tcp_network;

/// Reaches a tcp_network from any thread, before and after a messenger took it over. Once the
/// network is gone nothing has an effect. Copies are handles to the same network.
template <class PeerId = std::string>
class tcp_control {
 public:
  /// Puts a peer into the address book, or another address in the place of its last one. It is
  /// dialed whenever there is no session with it. `address` is `host:port` or
  /// `[IPv6 address]:port`; a name is looked up for every attempt.
  ///
  /// Throws std::system_error: tcp_error::bad_address with a text that says what is wrong,
  /// tcp_error::own_id, error::invalid_peer_id.
  void add_peer(PeerId id, std::string_view address) {
    detail::tcp::address where = detail::tcp::parse_destination(address);
    if (id == mail_->local_id) throw std::system_error(tcp_error::own_id);
    check(id);
    put(command::type::add, std::move(id), std::move(where));
  }

  /// Takes a peer out of the address book and ends its session. It is let in if it dials.
  void remove_peer(PeerId id) { put(command::type::remove, std::move(id)); }

  /// A hint that the peer may be reachable now: dials it at once, and gives up an attempt that is
  /// under way. Without effect if there is a session, or no address.
  void reconnect(PeerId id) { put(command::type::reconnect, std::move(id)); }

  /// The port on which the network listens; 0 if it does not.
  std::uint16_t port() const noexcept { return mail_->port; }

 private:
  friend tcp_network<PeerId>;
  using command = detail::tcp::command<PeerId>;
  using mailbox = detail::tcp::mailbox<PeerId>;

  explicit tcp_control(std::shared_ptr<mailbox> mail) : mail_(std::move(mail)) {}

  static void check(const PeerId& id) {
    std::vector<std::byte> encoded;
    codec<PeerId>::encode(id, encoded);
    if (encoded.empty() || encoded.size() > detail::tcp::maximum_id_size) {
      throw std::system_error(error::invalid_peer_id);
    }
  }

  void put(typename command::type what, PeerId whom, detail::tcp::address where = {}) {
    mail_->put(command(what, std::move(whom), std::move(where)));
  }

  std::shared_ptr<mailbox> mail_;
};

/// Peers over TCP: those in the address book are dialed, others may dial. Two peers have one
/// session however both dial; it is made anew when it breaks.
///
/// A peer's id is a claim over plain TCP: whoever can connect can take any name. With
/// tcp_options::prove set, as `pre_shared_key` of ilm/networks/tcp_psk.hpp does, it is a proof that
/// the peer held the key when it connected. That neither encrypts nor protects what is sent then:
/// where the path is not trusted, use a VPN, or TLS. A newcomer that fails is refused and told as
/// a problem on both sides, and never disturbs a session; one that proves to be the peer takes over
/// from its former connection.
///
/// It runs on the strand on which `receive` is first awaited, from then on, and must not outlive
/// that strand's context. Destroying it, on that strand or while nothing runs there, closes its
/// sockets.
template <class PeerId>
class tcp_network {
 public:
  using peer_id = PeerId;
  using event = network_event<PeerId>;
  static constexpr bool reliable = true;

  /// Throws std::system_error: error::invalid_options with a text that says which options
  /// contradict one another, error::invalid_peer_id.
  tcp_network(asio::any_io_executor executor, PeerId local_id, tcp_options o = {})
      : core_(std::make_shared<core>(std::move(executor), std::move(local_id), std::move(o))) {}

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> tcp_network(Context& context,
                                                                               PeerId local_id,
                                                                               tcp_options o = {})
      : tcp_network(asio::any_io_executor(context.get_executor()), std::move(local_id),
                    std::move(o)) {}

  tcp_network(tcp_network&&) noexcept = default;
  tcp_network& operator=(tcp_network&& other) noexcept {
    leave();
    core_ = std::move(other.core_);
    return *this;
  }
  ~tcp_network() { leave(); }

  /// Listens on `address`, such as `0.0.0.0:4711` or `[::]:4711`; port 0 takes a free one. The
  /// system keeps who connects until the first `receive`. Throws std::system_error:
  /// tcp_error::bad_address, or the system's error, such as std::errc::address_in_use.
  void listen(std::string_view address) { core_->listen(address); }

  /// Where it listens. Throws std::system_error if it does not.
  asio::ip::tcp::endpoint local_endpoint() const { return core_->local_endpoint(); }
  std::uint16_t port() const noexcept { return core_->mail->port; }

  /// As those of tcp_control.
  void add_peer(PeerId id, std::string_view address) { control().add_peer(std::move(id), address); }
  void remove_peer(PeerId id) { control().remove_peer(std::move(id)); }
  void reconnect(PeerId id) { control().reconnect(std::move(id)); }

  /// A handle that goes on working when a messenger owns the network.
  tcp_control<PeerId> control() const { return tcp_control<PeerId>(core_->mail); }

  PeerId local_id() const { return core_->local_id; }
  std::size_t maximum_frame_size() const { return core_->options.maximum_frame_size; }

  /// Completes when: less than tcp_options::send_buffer waits for the peer, or its session has
  ///   ended. A frame is dropped if there is no session of which `receive` gave the `up`.
  /// Errors: error::frame_too_large.
  /// Cancelling: ends the wait; the frame is sent all the same.
  asio::awaitable<void> send(const PeerId& to, std::vector<std::byte> frame) {
    std::shared_ptr<core> c = core_;
    co_await c->send(to, std::move(frame));
  }

  /// Completes with: the next event. `up` and `down` alternate for a peer, its frames come between
  ///   them, and peers take turns. A dial that fails is told as a problem once until it fails for
  ///   another reason; of newcomers that are refused, 16 at once and then one a second.
  /// Errors: error::network_ended if the network was destroyed meanwhile.
  /// Cancelling: ends the wait; no event is lost.
  asio::awaitable<event> receive() {
    std::shared_ptr<core> c = core_;
    co_return co_await c->receive();
  }

 private:
  using core = detail::tcp::core<PeerId>;

  void leave() {
    if (core_) core_->close();
  }

  std::shared_ptr<core> core_;
};

}  // namespace ilm
