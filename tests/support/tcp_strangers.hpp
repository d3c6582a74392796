#pragma once

// Strangers to a network over TCP, and the handshake by hand.

#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp/handshake.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace test::tcp {

namespace wire = ilm::detail::tcp;

/// Stands for an HMAC where no OpenSSL is: tells keys and transcripts apart, and no more.
inline auto toy_key(std::uint64_t key) {
  return [key](std::span<const std::byte>, std::span<const std::byte> transcript) {
    std::uint64_t state = key;
    for (std::byte b : transcript) {
      state = (state ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3;
      state ^= state >> 29;
    }
    ilm::tcp_proof proof{};
    for (std::size_t i = 0; i < 8; ++i) proof[i] = static_cast<std::byte>(state >> (8 * i));
    return std::optional(proof);
  };
}

inline options keyed(std::uint64_t key) {
  options o = quick();
  o.prove = toy_key(key);
  return o;
}

inline wire::hello hello_of(const std::string& from, const std::string& to, bool with_key = false) {
  wire::hello h;
  h.sender = to_bytes(from);
  h.destination = to_bytes(to);
  h.maximum_frame_size = static_cast<std::uint32_t>(options().maximum_frame_size);
  h.keyed = with_key;
  return h;
}

/// The whole messages of a handshake among the bytes that a socket heard.
inline std::vector<std::pair<wire::message_type, wire::byte_view>> messages_in(plain_socket& s) {
  std::vector<std::pair<wire::message_type, wire::byte_view>> all;
  wire::byte_view heard = s.heard();
  wire::message_header header;
  while (heard.size() >= wire::header_size &&
         !wire::read_header(heard.first<wire::header_size>(), header) &&
         heard.size() >= wire::header_size + header.body_size) {
    std::size_t size = wire::header_size + header.body_size;
    all.emplace_back(header.type, heard.first(size));
    heard = heard.subspan(size);
  }
  return all;
}

/// The reason in the refusal that a socket heard, wherever it stands.
inline std::error_code refusal_in(plain_socket& s) {
  for (const auto& [type, message] : messages_in(s)) {
    if (type == wire::message_type::refusal) {
      return wire::read_refusal(message.subspan(wire::header_size));
    }
  }
  return {};
}

/// Hands the messages that a socket heard to its side of a handshake, which it may answer.
inline std::error_code feed(wire::handshake& side, plain_socket& s, wire::byte_string& answer) {
  for (const auto& [type, message] : messages_in(s)) {
    if (std::error_code wrong = side.handle(type, message, answer)) return wrong;
  }
  return {};
}

/// Two with a session between them, which a test then tries to disturb.
struct pair {
  explicit pair(loop& l, const options& o = quick()) : loop_(l), a(l, "a", o), b(l, "b", o) {
    b.dial(a);
    REQUIRE(joined(l, a, b));
  }
  /// Whether the session is still the one that it was, and works.
  bool undisturbed() {
    ++said;
    a.send("b", "still here");
    b.send("a", "here too");
    return loop_.until([&] { return a.frames("b") == said && b.frames("a") == said; }) &&
           a.ups("b") == 1 && b.ups("a") == 1 && a.downs("b") + b.downs("a") == 0;
  }

  loop& loop_;
  node a, b;
  std::size_t said = 0;
};

}  // namespace test::tcp
