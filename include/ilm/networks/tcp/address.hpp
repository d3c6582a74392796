#pragma once

#include <ilm/networks/tcp/error.hpp>

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>

namespace ilm::inline v0::detail::tcp {

/// Where a peer listens: a name or a numeric address, and a port.
struct address {
  std::string host;
  std::uint16_t port = 0;
  std::string url = {};  ///< that names it, where there is one

  friend bool operator==(const address&, const address&) = default;
};

/// Of a numeric host.
inline bool is_ipv6(const address& a) noexcept { return a.host.find(':') != a.host.npos; }

/// As it was given, and of a name that was looked up, the numeric address as well.
inline std::string to_text(const address& a) {
  std::string host = is_ipv6(a) ? '[' + a.host + ']' : a.host;
  std::string text = host + ':' + std::to_string(a.port);
  if (a.url.empty()) return text;
  return a.url.find(host) != a.url.npos ? a.url : a.url + " (" + text + ")";
}

[[noreturn]] inline void throw_bad_address(std::string_view text, const char* why) {
  throw std::system_error(tcp_error::bad_address, '"' + std::string(text) + "\": " + why);
}

/// Reads `host:port` or `[IPv6 address]:port`. Throws std::system_error, tcp_error::bad_address.
inline address parse_address(std::string_view text) {
  address parsed;
  std::size_t colon = text.rfind(':');
  if (colon == text.npos) throw_bad_address(text, "the port is missing");
  std::string_view host = text.substr(0, colon);
  std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) throw_bad_address(text, "a port must follow the closing bracket");
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != host.npos) {
    throw_bad_address(text, "an IPv6 address must stand in brackets");
  }
  if (host.empty()) throw_bad_address(text, "the host is missing");
  // A NUL would cut the name short where C reads it, and a line's end where HTTP names it.
  for (char c : host) {
    if ((c >= '\0' && c <= ' ') || c == '\x7f' || c == '[' || c == ']') {
      throw_bad_address(text, "the host has a character that no host has");
    }
  }
  auto [end, failed] = std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  if (failed != std::errc() || end != port.data() + port.size()) {
    throw_bad_address(text, "the port is not a number from 0 to 65535");
  }
  parsed.host = host;
  return parsed;
}

/// As parse_address, for an address to connect to.
inline address parse_destination(std::string_view text) {
  address parsed = parse_address(text);
  if (parsed.port == 0) throw_bad_address(text, "nobody can be reached at port 0");
  return parsed;
}

}  // namespace ilm::inline v0::detail::tcp
