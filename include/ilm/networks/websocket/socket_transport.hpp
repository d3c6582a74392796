#pragma once

#include <ilm/networks/tcp/transport.hpp>
#include <ilm/networks/websocket/options.hpp>
#include <ilm/networks/websocket/socket_stream.hpp>
#include <ilm/networks/websocket/url.hpp>

#include <memory>
#include <string_view>
#include <utility>

namespace ilm::inline v0::detail::websocket {

class socket_transport final : public tcp::transport {
 public:
  explicit socket_transport(std::shared_ptr<const websocket_options> o) : options_(std::move(o)) {}

  tcp::address parse_destination(std::string_view text) const override {
    url to = parse_url(text, options_->path);
    if (to.secure) {
      tcp::throw_bad_address(text,
                             "wss needs TLS, which this network has not: dial a proxy of this "
                             "machine that adds it");
    }
    return address_of(to);
  }
  std::unique_ptr<tcp::stream> make_dialing(const asio::any_io_executor& executor) const override {
    return std::make_unique<socket_stream>(executor, options_);
  }
  std::unique_ptr<tcp::stream> make_accepted(asio::ip::tcp::socket socket) const override {
    return std::make_unique<socket_stream>(std::move(socket), options_);
  }

 private:
  const std::shared_ptr<const websocket_options> options_;
};

}  // namespace ilm::inline v0::detail::websocket
