#pragma once

#include <ilm/detail/compiled.hpp>
#include <ilm/message.hpp>
#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/peer_network.hpp>

#include <asio/any_io_executor.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// tcp_options::accept of a function from a peer id to a bool.
template <class PeerId = std::string>
std::function<bool(std::span<const std::byte>)> accept_peers(
    std::function<bool(const PeerId&)> accept) {
  return [accept = std::move(accept)](std::span<const std::byte> encoded) {
    return accept(codec<PeerId>::decode(encoded));
  };
}

/// Peers over TCP: those in the address book are dialed, others may dial. Two peers have one
/// session however both dial; it is made anew when it breaks.
///
/// A peer's id is a claim over plain TCP: whoever can connect can take any name. With
/// tcp_options::prove set, as `pre_shared_key` of ilm/networks/tcp_psk.hpp does, it is a proof that
/// the peer holds the key, and each frame is proven to be the next one of the peer in this session:
/// on its way it can be read, but not changed, dropped, repeated or moved unnoticed. Where others
/// may not read, use a VPN, or TLS. A connection that fails is refused and reported as a problem on
/// both sides, and never disturbs a session; one that proves to be the peer takes over from its
/// former connection.
///
/// It runs on the strand on which `receive` is first awaited, from then on, and must not outlive
/// that strand's context. Destroying it, on that strand or while nothing runs there, closes its
/// sockets.
template <class PeerId = std::string>
class tcp_network : public detail::tcp::peer_network<PeerId> {
  using base = detail::tcp::peer_network<PeerId>;

 public:
  /// Throws std::system_error: error::invalid_options with a text that says which options
  /// contradict one another, error::invalid_peer_id.
  tcp_network(asio::any_io_executor executor, PeerId local_id, tcp_options o = {})
      : base(std::move(local_id), [&](std::vector<std::byte> id, detail::tcp::peer_id_check check) {
          return detail::tcp::make_encoded_network(std::move(executor), std::move(id), std::move(o),
                                                   std::move(check));
        }) {}

  template <class Context>
  requires std::convertible_to<Context&, asio::execution_context&> tcp_network(Context& context,
                                                                               PeerId local_id,
                                                                               tcp_options o = {})
      : tcp_network(asio::any_io_executor(context.get_executor()), std::move(local_id),
                    std::move(o)) {}
};

ILM_INSTANCE(class detail::tcp::peer_network<std::string>);
ILM_INSTANCE(class tcp_network<std::string>);

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/networks/tcp/node.hpp>
#endif
