#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/handshake.hpp>
#include <ilm/networks/tcp/unauthenticated_places.hpp>
#include <ilm/printable.hpp>

#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// An IPv4 address in the form that a socket for IPv4 and IPv6 gives it counts as what it is.
inline asio::ip::address without_mapping(const asio::ip::address& a) {
  if (!a.is_v6() || !a.to_v6().is_v4_mapped()) return a;
  return asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
}

inline address_group group_of(const asio::ip::address& mapped) {
  asio::ip::address a = without_mapping(mapped);
  if (a.is_v4()) return {false, a.to_v4().to_uint()};
  address_group group{true, 0};
  auto bytes = a.to_v6().to_bytes();
  for (std::size_t i = 0; i < 8; ++i) group.prefix = group.prefix << 8 | bytes[i];
  return group;
}

/// `192.0.2.1:4711` or `[2001:db8::1]:4711`.
inline std::string to_text(const asio::ip::tcp::endpoint& e) {
  asio::ip::address a = without_mapping(e.address());
  std::string host = a.to_string();
  return (a.is_v6() ? '[' + host + ']' : host) + ':' + std::to_string(e.port());
}

/// The same failure; its text begins with the address from which a connection came.
inline failure failure_from(const std::string& remote, failure why) {
  std::string text = "from " + remote + ": ";
  text += why.text.empty() ? why.code.message() : why.text;
  return {why.code, printable_prefix(text, maximum_failure_text)};
}

/// `text` if it is a numeric address and a port.
inline std::optional<asio::ip::tcp::endpoint> endpoint_of(std::string_view text) {
  try {
    address a = parse_address(text);
    return asio::ip::tcp::endpoint(asio::ip::make_address(a.host), a.port);
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

/// The group of the other end of a connection, as it is reported.
inline address_group group_of(const std::string& remote) {
  std::optional<asio::ip::tcp::endpoint> e = endpoint_of(remote);
  return e ? group_of(e->address()) : address_group();
}

/// A refusal that a peer sent; with the addresses of both processes if its name is in use.
inline failure failure_of_refusal(const std::string& remote, byte_view body) {
  std::error_code why = read_refusal(body);
  if (why != tcp_error::name_in_use) return why;
  std::string text = remote + " has a session with another process of this name";
  auto other = endpoint_of(refusal_address(body));
  if (other) text += ", from " + to_text(*other);
  return {why, text + "; give each process an id of its own"};
}

}  // namespace ilm::inline v0::detail::tcp
