#pragma once

#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/socket_stream.hpp>
#include <ilm/networks/tcp/stream.hpp>

#include <asio/any_io_executor.hpp>
#include <asio/ip/tcp.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Makes the streams of a network.
class transport {
 public:
  virtual ~transport() = default;

  /// Reads the address of a peer, to dial it. Throws std::system_error, tcp_error::bad_address.
  virtual address parse_destination(std::string_view text) const = 0;
  /// Whether the name of a host has to be looked up before it is dialed.
  virtual bool dials_numeric_hosts() const noexcept { return true; }
  virtual std::unique_ptr<stream> make_dialing(const asio::any_io_executor& executor) const = 0;
  virtual std::unique_ptr<stream> make_accepted(asio::ip::tcp::socket socket) const = 0;
};

class tcp_transport final : public transport {
 public:
  address parse_destination(std::string_view text) const override {
    return tcp::parse_destination(text);
  }
  std::unique_ptr<stream> make_dialing(const asio::any_io_executor& executor) const override {
    return std::make_unique<socket_stream>(executor);
  }
  std::unique_ptr<stream> make_accepted(asio::ip::tcp::socket socket) const override {
    return std::make_unique<socket_stream>(std::move(socket));
  }
};

}  // namespace ilm::inline v0::detail::tcp
