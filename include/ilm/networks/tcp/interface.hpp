#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/options.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/ip/basic_endpoint.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>

namespace asio::ip {
class tcp;  // <asio/ip/tcp.hpp> takes a compiler longer than all that is declared here
}

// The network over TCP on encoded peer ids. tcp_network and tcp_control put a user's type of peer
// id in front of it; node.hpp implements it.

namespace ilm::inline v0::detail::tcp {

/// A network_event whose peer is encoded.
struct encoded_event {
  enum class type : std::uint8_t { up, down, frame, problem };

  encoded_event() = default;
  encoded_event(type kind_, std::shared_ptr<const byte_string> peer_, byte_string frame_ = {},
                failure why_ = {})
      : kind(kind_), peer(std::move(peer_)), frame(std::move(frame_)), why(std::move(why_)) {}

  type kind{};
  /// None for a problem with a connection that named no peer.
  std::shared_ptr<const byte_string> peer;
  byte_string frame;
  failure why;
};

/// See tcp_control.
class encoded_control {
 public:
  virtual ~encoded_control() = default;
  virtual void add_peer(byte_string id, std::span<const std::string_view> addresses) = 0;
  virtual void remove_peer(byte_string id) = 0;
  virtual void reconnect(byte_string id) = 0;
  virtual std::uint16_t port() const noexcept = 0;
};

/// See tcp_network.
class encoded_network {
 public:
  virtual ~encoded_network() = default;
  virtual void listen(std::string_view address) = 0;
  virtual asio::ip::basic_endpoint<asio::ip::tcp> local_endpoint() const = 0;
  virtual std::size_t maximum_frame_size() const noexcept = 0;
  virtual const std::shared_ptr<encoded_control>& control() const noexcept = 0;
  /// `peer` lives until the operation completes.
  virtual asio::awaitable<void> send(const byte_string& peer, byte_string frame) = 0;
  virtual asio::awaitable<encoded_event> receive() = 0;
  /// The last event of `receive`, an `up` or a frame, could not be passed on: ends its session, and
  /// tells why. An `up` counts as never given.
  virtual void reject(const encoded_event& last, failure why) = 0;
  /// Ends everything at once.
  virtual void close() noexcept = 0;
};

/// Whether an encoded id has a size that the wire can carry.
inline bool has_id_size(byte_view encoded) noexcept {
  return !encoded.empty() && encoded.size() <= maximum_id_size;
}

/// Whether bytes of such a size are an encoded peer id, and its only encoding: two spellings of one
/// id would be two identities to a check of keys. Throws where there is no memory to tell.
using peer_id_check = std::function<bool(byte_view encoded)>;

class transport;

/// Runs over plain TCP unless it gets another transport. Throws std::system_error:
/// error::invalid_options, error::invalid_peer_id.
ILM_INLINE std::shared_ptr<encoded_network> make_encoded_network(
    asio::any_io_executor executor, byte_string local_id, tcp_options options,
    peer_id_check is_peer_id, std::shared_ptr<const transport> via = nullptr);

}  // namespace ilm::inline v0::detail::tcp
