#pragma once

#include <ilm/networks/tcp.hpp>
#include <ilm/networks/websocket/error.hpp>
#include <ilm/networks/websocket/interface.hpp>
#include <ilm/networks/websocket/options.hpp>

#include <asio/any_io_executor.hpp>

#include <concepts>
#include <cstddef>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// As tcp_network, over WebSockets (RFC 6455): through proxies that pass HTTP on, behind one that
/// adds TLS, and from pages in browsers. Sessions, identity, proof, limits and events are those of
/// a tcp_network, and its frames binary messages of the subprotocol `ilm.v1`.
///
/// The address of a peer is `ws://host[:port][/path]`, or `host:port`; without a path,
/// websocket_options::path is taken. `listen` takes `host:port`.
template <class PeerId = std::string>
class websocket_network : public detail::tcp::peer_network<PeerId> {
  using base = detail::tcp::peer_network<PeerId>;

 public:
  /// Throws std::system_error: error::invalid_options with a text that says which options
  /// contradict one another, error::invalid_peer_id.
  websocket_network(asio::any_io_executor executor, PeerId local_id, websocket_options o = {})
      : base(std::move(local_id), [&](std::vector<std::byte> id, detail::tcp::peer_id_check check) {
          tcp_options shared = o;
          return detail::tcp::make_encoded_network(std::move(executor), std::move(id),
                                                   std::move(shared), std::move(check),
                                                   detail::websocket::make_transport(std::move(o)));
        }) {}

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> websocket_network(
      Context& context, PeerId local_id, websocket_options o = {})
      : websocket_network(asio::any_io_executor(context.get_executor()), std::move(local_id),
                          std::move(o)) {}
};

/// As tcp_control.
template <class PeerId = std::string>
using websocket_control = tcp_control<PeerId>;

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/networks/websocket/transport.hpp>
#endif
