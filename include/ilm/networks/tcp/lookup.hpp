#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/limits.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>

#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// What a look-up found: numeric hosts, or why there are none.
struct lookup_result {
  lookup_result() = default;
  lookup_result(failure f) : why(std::move(f)) {}
  explicit lookup_result(std::vector<std::string> h) : hosts(std::move(h)) {}

  failure why;
  std::vector<std::string> hosts;
};

/// Looks up the addresses of a host. May block, and be called by several threads at once.
using lookup_function = std::function<lookup_result(const std::string& host)>;

/// By getaddrinfo, which sorts addresses by RFC 6724.
inline lookup_result look_up_in_system(const std::string& host) {
  asio::io_context context;
  asio::ip::tcp::resolver resolver(context);
  std::error_code failed;
  asio::ip::tcp::resolver::results_type all = resolver.resolve(host, "", failed);
  if (failed) return failure(failed);
  lookup_result found;
  for (const auto& entry : all) {
    if (found.hosts.size() == endpoint_limit) break;
    found.hosts.push_back(entry.endpoint().address().to_string());
  }
  return found;
}

/// The one that networks take which are made from here on. Tests put others in its place.
inline lookup_function& default_lookup() {
  static lookup_function f = look_up_in_system;
  return f;
}

}  // namespace ilm::inline v0::detail::tcp
