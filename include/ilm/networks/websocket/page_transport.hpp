#pragma once

#include <ilm/networks/tcp/transport.hpp>
#include <ilm/networks/websocket/options.hpp>
#include <ilm/networks/websocket/page_stream.hpp>
#include <ilm/networks/websocket/url.hpp>

#include <asio/ip/tcp.hpp>

#include <cassert>
#include <memory>
#include <string_view>
#include <utility>

namespace ilm::inline v0::detail::websocket {

/// In a page, where nobody can listen, and the browser looks names up and speaks TLS.
class page_transport final : public tcp::transport {
 public:
  explicit page_transport(std::shared_ptr<const websocket_options> o) : options_(std::move(o)) {}

  tcp::address parse_destination(std::string_view text) const override {
    return address_of(parse_url(text, options_->path));
  }
  bool dials_numeric_hosts() const noexcept override { return false; }
  std::unique_ptr<tcp::stream> make_dialing(const asio::any_io_executor& executor) const override {
    return std::make_unique<page_stream>(executor);
  }
  std::unique_ptr<tcp::stream> make_accepted(asio::ip::tcp::socket) const override {
    assert(false);
    return nullptr;
  }

 private:
  const std::shared_ptr<const websocket_options> options_;
};

}  // namespace ilm::inline v0::detail::websocket
