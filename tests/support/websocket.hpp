#pragma once

#include "support/tcp.hpp"

#include <ilm/networks/websocket.hpp>

#include <string>
#include <utility>

namespace test {

/// As test::tcp::quick.
inline ilm::websocket_options quick_websocket() {
  ilm::websocket_options o;
  static_cast<ilm::tcp_options&>(o) = tcp::quick();
  return o;
}

inline tcp::network websocket(tcp::loop& l, std::string name,
                              ilm::websocket_options o = quick_websocket()) {
  return tcp::network(ilm::websocket_network<>(l.context, std::move(name), std::move(o)));
}

}  // namespace test
