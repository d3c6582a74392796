#pragma once

#include <ilm/networks/tcp/address.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace ilm::inline v0::detail::websocket {

/// Lower case, of ASCII alone.
inline std::string lowered(std::string_view text) {
  std::string result(text);
  for (char& c : result) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return result;
}

/// Where a WebSocket is (RFC 6455, 3).
struct url {
  bool secure = false;
  tcp::address at;
  std::string path;  ///< with the query

  /// For the field Host.
  std::string authority() const {
    std::string whole = to_text(at);
    return at.port == default_port() ? whole.substr(0, whole.rfind(':')) : whole;
  }
  std::string text() const { return (secure ? "wss://" : "ws://") + authority() + path; }

  std::uint16_t default_port() const noexcept { return secure ? 443 : 80; }
};

/// Where a peer with this URL is dialed.
inline tcp::address address_of(const url& to) {
  tcp::address where = to.at;
  where.url = to.text();
  return where;
}

/// Reads `ws://host[:port][/path]` or wss, or `host:port`, of which `default_path` is the path.
/// Throws std::system_error, tcp_error::bad_address.
inline url parse_url(std::string_view text, std::string_view default_path) {
  url parsed;
  std::size_t scheme_end = text.find("://");
  std::string_view rest = text;
  if (scheme_end != text.npos) {
    std::string scheme = lowered(text.substr(0, scheme_end));
    parsed.secure = scheme == "wss";
    if (!parsed.secure && scheme != "ws") {
      tcp::throw_bad_address(text, "the scheme must be ws or wss");
    }
    rest = text.substr(scheme_end + 3);
  }
  std::size_t host_end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string host(rest.substr(0, host_end));
  std::string_view path = rest.substr(host_end);
  for (char c : path) {
    if (c <= ' ' || c > '~' || c == '#') {
      tcp::throw_bad_address(text, "the path has a character that no path of a WebSocket has");
    }
  }
  if (host.find('@') != host.npos) tcp::throw_bad_address(text, "a user cannot be given");
  bool has_port = host.rfind(':') != host.npos && host.back() != ']';
  if (scheme_end != text.npos && !has_port) host += ':' + std::to_string(parsed.default_port());
  parsed.at = tcp::parse_destination(host);
  parsed.path = path.starts_with('/') ? path : std::string(default_path) + std::string(path);
  return parsed;
}

}  // namespace ilm::inline v0::detail::websocket
