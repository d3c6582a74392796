#pragma once

#include <ilm/error.hpp>
#include <ilm/networks/tcp/transport.hpp>
#include <ilm/networks/websocket/interface.hpp>
#include <ilm/networks/websocket/options.hpp>

#ifdef __EMSCRIPTEN__
#include <ilm/networks/websocket/page_transport.hpp>
#else
#include <ilm/networks/websocket/socket_transport.hpp>
#endif

#include <memory>
#include <string>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::websocket {

#ifdef __EMSCRIPTEN__
using own_transport = page_transport;
#else
using own_transport = socket_transport;
#endif

ILM_INLINE std::shared_ptr<const tcp::transport> make_transport(websocket_options o) {
  if (std::string wrong = validation_error(o); !wrong.empty()) {
    throw std::system_error(make_error_code(error::invalid_options), wrong);
  }
  return std::make_shared<own_transport>(std::make_shared<const websocket_options>(std::move(o)));
}

}  // namespace ilm::inline v0::detail::websocket
