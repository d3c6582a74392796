#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/networks/tcp/options.hpp>

#include <asio/any_io_executor.hpp>

#include <functional>
#include <string>
#include <vector>

namespace asio {
namespace ip {
class tcp;
}
template <typename Protocol, typename Executor>
class basic_stream_socket;  // its header takes a compiler longer than all that is declared here
}  // namespace asio

namespace ilm::inline v0 {

/// Every bound and every time of a websocket_network.
struct websocket_options : tcp_options {
  /// Where the network is on this side, and on peers whose address has no path: begins with `/`.
  std::string path = "/ilm";

  /// The pages whose scripts may connect, as browsers tell them: `https://chat.example`. If there
  /// are none, those of the host that they connect to; `*` lets all in. Programs that are no
  /// browsers tell no origin, and are not held up by this.
  std::vector<std::string> allowed_origins;

  /// Gets the requests that are not for a WebSocket, of a browser that loads the page say: the
  /// socket (an asio::ip::tcp::socket), and the bytes that were read from it, which begin with the
  /// head of the request. The socket is its own from then on: it is non-blocking, and runs on the
  /// strand of `receive`. A throw closes it. Without it the answer is 426 (Upgrade Required).
  std::function<void(asio::basic_stream_socket<asio::ip::tcp, asio::any_io_executor>&&,
                     std::string)>
      on_http_request;
};

/// Says which option of `o` is wrong; empty if none is.
inline std::string validation_error(const websocket_options& o) {
  for (char c : o.path) {
    if (c <= ' ' || c > '~' || c == '#' || c == '?') {
      return "path (" + o.path + ") has a character that no path has";
    }
  }
  if (!o.path.starts_with('/')) return "path (" + o.path + ") does not begin with /";
  return validation_error(static_cast<const tcp_options&>(o));
}

}  // namespace ilm::inline v0
