#pragma once

// The request that turns HTTP into a WebSocket, and the answer to it (RFC 6455, 4), sans I/O.

#include <ilm/detail/failure.hpp>
#include <ilm/networks/tcp/error.hpp>
#include <ilm/networks/tcp/types.hpp>
#include <ilm/networks/websocket/error.hpp>
#include <ilm/networks/websocket/http.hpp>
#include <ilm/networks/websocket/limits.hpp>
#include <ilm/networks/websocket/url.hpp>
#include <ilm/printable.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace ilm::inline v0::detail::websocket {

inline std::string to_base64(tcp::byte_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                  reinterpret_cast<const unsigned char*>(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.pop_back();  // OpenSSL's NUL
  return text;
}

/// The Sec-WebSocket-Accept for a Sec-WebSocket-Key.
inline std::string accept_value(std::string_view key) {
  std::string text = std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
  std::array<unsigned char, 20> digest{};
  [[maybe_unused]] int made =
      EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha1(), nullptr);
  assert(made == 1);
  return to_base64(std::as_bytes(std::span(digest)));
}

inline std::string make_request(const url& to, std::string_view key) {
  std::string text = "GET " + to.path + " HTTP/1.1\r\nHost: " + to.authority();
  text += "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13";
  text += "\r\nSec-WebSocket-Protocol: " + std::string(subprotocol);
  return text + "\r\nSec-WebSocket-Key: " + std::string(key) + "\r\n\r\n";
}

/// Why the answer to `make_request` is none that begins a WebSocket.
inline failure check_answer(const http_head& answer, std::string_view key) {
  const auto& [version, status, reason] = answer.first_line();
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return websocket_error::malformed_http;
  if (status != "101" || version != "HTTP/1.1" || !answer.lists("upgrade", "websocket") ||
      !answer.lists("connection", "upgrade") ||
      answer.find("sec-websocket-accept") != accept_value(key)) {
    std::error_code why = websocket_error::not_upgraded;
    std::string text = "the answer is " + status + ' ' + reason + "; " + why.message();
    return {why, printable_prefix(text, maximum_failure_text)};
  }
  if (answer.has("sec-websocket-extensions")) return websocket_error::protocol_violation;
  if (answer.find("sec-websocket-protocol") != subprotocol) {
    return websocket_error::wrong_subprotocol;
  }
  return {};
}

/// Whether a request asks for a WebSocket, well or not: one of HTTP/1.0 cannot (RFC 9110, 7.8).
inline bool asks_for_websocket(const http_head& request) {
  return request.first_line()[2] != "HTTP/1.0" && request.lists("upgrade", "websocket");
}

/// What a request is for.
struct http_destination {
  std::string_view host;
  std::string_view path;  ///< without a query
};

/// A target may be a whole URL, whose host counts then, and not that of the field Host
/// (RFC 9112, 3.2.2).
inline http_destination destination_of(std::string_view target, std::string_view host) {
  std::size_t scheme_end = std::min(target.find("://"), target.size());
  std::string scheme = lowered(target.substr(0, scheme_end));
  bool is_whole = scheme == "http" || scheme == "https";
  if (is_whole) {
    target.remove_prefix(std::min(scheme_end + 3, target.size()));
    host = target.substr(0, target.find_first_of("/?"));
    target.remove_prefix(host.size());
  }
  std::string_view path = target.substr(0, target.find('?'));
  return {host, path.empty() && is_whole ? "/" : path};
}

/// Whether a Sec-WebSocket-Key is 16 bytes in base64.
inline bool is_key(std::string_view key) {
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  return key.size() == 24 && key.find_first_not_of(digits) == 22 && key.ends_with("==");
}

/// Whether a page of `origin` may connect to `host`, a field Host.
inline bool is_allowed(std::string_view origin, std::string_view host,
                       const std::vector<std::string>& allowed) {
  std::string asked = lowered(origin);
  if (!allowed.empty()) {
    return std::any_of(allowed.begin(), allowed.end(),
                       [&](const std::string& a) { return a == "*" || lowered(a) == asked; });
  }
  std::size_t scheme_end = asked.find("://");
  bool is_secure = asked.starts_with("https://");
  if (!is_secure && !asked.starts_with("http://")) return false;
  std::string_view default_port = is_secure ? ":443" : ":80";
  auto without_default = [&](std::string whole) {
    if (whole.ends_with(default_port)) whole.resize(whole.size() - default_port.size());
    return whole;
  };
  return without_default(asked.substr(scheme_end + 3)) == without_default(lowered(host));
}

/// Why a request gets no WebSocket, if so: `path` and `allowed` are those of the options.
inline std::error_code check_request(const http_head& request, std::string_view path,
                                     const std::vector<std::string>& allowed) {
  const auto& [method, target, version] = request.first_line();
  if (version == "HTTP/1.0") return websocket_error::not_upgraded;
  if (version != "HTTP/1.1") return websocket_error::malformed_http;
  auto host = request.find("host");
  if (!host) return websocket_error::malformed_http;
  if (!asks_for_websocket(request)) return websocket_error::not_upgraded;
  http_destination asked = destination_of(target, *host);
  if (asked.path != path) return websocket_error::wrong_path;
  if (request.find("sec-websocket-version") != "13") return websocket_error::unsupported_version;
  auto key = request.find("sec-websocket-key");
  bool has_body = request.has("content-length") || request.has("transfer-encoding");
  if (method != "GET" || has_body || !request.lists("connection", "upgrade") || !key ||
      !is_key(*key)) {
    return websocket_error::malformed_http;
  }
  if (request.has("origin")) {
    auto origin = request.find("origin");
    if (!origin || !is_allowed(*origin, asked.host, allowed))
      return websocket_error::origin_not_allowed;
  }
  if (!request.lists("sec-websocket-protocol", subprotocol)) {
    return websocket_error::wrong_subprotocol;
  }
  return {};
}

inline std::string make_acceptance(const http_head& request) {
  std::string text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n";
  text += "Connection: Upgrade\r\nSec-WebSocket-Protocol: " + std::string(subprotocol);
  text += "\r\nSec-WebSocket-Accept: " + accept_value(request.find("sec-websocket-key").value());
  return text + "\r\n\r\n";
}

inline std::string make_rejection(std::error_code why) {
  std::string status = "400 Bad Request";
  if (why == websocket_error::wrong_path) status = "404 Not Found";
  if (why == websocket_error::origin_not_allowed) status = "403 Forbidden";
  if (why == websocket_error::not_upgraded || why == websocket_error::unsupported_version) {
    status = "426 Upgrade Required\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13";
  }
  if (why == tcp_error::handshake_timeout) status = "408 Request Timeout";
  if (why == tcp_error::too_many_connections) status = "503 Service Unavailable";
  std::string body = why.message() + '\n';
  return "HTTP/1.1 " + status +
         "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: close, upgrade\r\n\r\n" + body;
}

}  // namespace ilm::inline v0::detail::websocket
