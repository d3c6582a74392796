#pragma once

#include <ilm/detail/compiled.hpp>
#include <ilm/networks/websocket/options.hpp>

#include <memory>

namespace ilm::inline v0::detail::tcp {
class transport;
}

namespace ilm::inline v0::detail::websocket {

/// The transport of a network that has these options. Throws std::system_error,
/// error::invalid_options.
ILM_INLINE std::shared_ptr<const tcp::transport> make_transport(websocket_options o);

}  // namespace ilm::inline v0::detail::websocket
