#include "support/catch.hpp"
#include "support/websocket.hpp"

#include <ilm/networks/websocket/messages.hpp>
#include <ilm/networks/websocket/upgrade.hpp>

#include <asio/buffer.hpp>

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace test::websocket_messages {

using namespace ilm::detail::websocket;
using ilm::websocket_error;

// The frames of a WebSocket and its opening handshake, sans I/O.

namespace {

messages::mask_source fixed_mask() {
  return [] { return 0xa1b2c3d4U; };
}

/// A client, and a server with the contents that it took.
struct line {
  explicit line(std::size_t maximum = 1000) : server(maximum, {}), client(maximum, fixed_mask()) {}

  std::error_code give(const byte_string& frames) { return server.take(frames, contents, answers); }
  std::string text() const {
    return {reinterpret_cast<const char*>(contents.data()), contents.size()};
  }

  messages server, client;
  byte_string contents, answers;
};

byte_string message(messages& from, const std::string& text) {
  byte_string frames;
  from.append(std::array{asio::buffer(text)}, frames);
  return frames;
}

/// A frame by hand, masked with zeros.
byte_string frame(unsigned first, const std::string& payload) {
  byte_string all{static_cast<std::byte>(first), static_cast<std::byte>(0x80U | payload.size())};
  all.resize(6);
  for (char c : payload) all.push_back(static_cast<std::byte>(c));
  return all;
}

byte_string operator+(byte_string a, const byte_string& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace

TEST_CASE("messages of every size arrive whole, masked or not, byte by byte or at once",
          "[websocket]") {
  for (std::size_t size : {0UL, 1UL, 125UL, 126UL, 65535UL, 65536UL, 200000UL}) {
    line l(1 << 20);
    std::string text(size, 'x');
    for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 7 + i / 251);
    byte_string frames = message(l.client, text);
    if (size < 70000) {
      for (std::byte b : frames) REQUIRE_FALSE(l.give({b}));
    } else {
      REQUIRE_FALSE(l.give(frames));
    }
    CHECK(l.text() == text);
    byte_string back, ignored;
    REQUIRE_FALSE(l.client.take(message(l.server, text), back, ignored));
    CHECK(back == l.contents);
  }
}

TEST_CASE("the two parts of a frame go into one message", "[websocket]") {
  line l;
  std::string head = "head, ", body = "and body";
  byte_string frames;
  CHECK(l.client.append(std::array{asio::buffer(head), asio::buffer(body)}, frames) == 14);
  CHECK(frames.size() == 2 + 4 + 14);
  REQUIRE_FALSE(l.give(frames));
  CHECK(l.text() == "head, and body");
}

TEST_CASE("a message may come in fragments, with control frames between them", "[websocket]") {
  line l;
  REQUIRE_FALSE(l.give(frame(0x02, "frag") + frame(0x89, "hello?") + frame(0x00, "") +
                       frame(0x8a, "unasked") + frame(0x80, "ments") + frame(0x82, "!")));
  CHECK(l.text() == "fragments!");
  CHECK(l.answers == byte_string{std::byte{0x8a}, std::byte{6}} + test::tcp::to_bytes("hello?"));
}

TEST_CASE("frames that break the protocol are errors, and nothing of them is taken",
          "[websocket]") {
  auto error_of_frames = [](const byte_string& frames) {
    line l(100);
    std::error_code wrong = l.give(frames);
    CHECK(l.contents.empty());
    return wrong;
  };
  byte_string unmasked{std::byte{0x82}, std::byte{1}, std::byte{'x'}};
  CHECK(error_of_frames(unmasked) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0xc2, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x83, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x8b, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x80, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x09, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x81, "x")) == websocket_error::text_message);
  CHECK(error_of_frames(frame(0x82, std::string(101, 'x'))) == websocket_error::message_too_large);
  CHECK(error_of_frames(frame(0x88, "x")) == websocket_error::protocol_violation);
  CHECK(error_of_frames(frame(0x88, "\x03\xed")) == websocket_error::protocol_violation);
  byte_string huge{std::byte{0x82}, std::byte{0xff}};
  huge.insert(huge.end(), 8, std::byte{0x7f});
  CHECK(error_of_frames(huge + byte_string(5)) == websocket_error::message_too_large);
  line l;
  REQUIRE_FALSE(l.give(frame(0x02, "begun")));
  CHECK(l.give(frame(0x82, "another")) == websocket_error::protocol_violation);
}

TEST_CASE("fragments count together for the largest message, and begin anew with the next one",
          "[websocket]") {
  line l(10);
  REQUIRE_FALSE(l.give(frame(0x02, "12345") + frame(0x80, "67890") + frame(0x82, "1234567890")));
  REQUIRE_FALSE(l.give(frame(0x02, "12345")));
  CHECK(l.give(frame(0x80, "678901")) == websocket_error::message_too_large);
}

TEST_CASE("what follows a close frame is not read", "[websocket]") {
  line l;
  REQUIRE_FALSE(l.give(frame(0x82, "before") + frame(0x88, "\x03\xe9gone") + frame(0x82, "after")));
  CHECK(l.text() == "before");
  CHECK(l.server.closed() == close_code::going_away);
  line empty;
  REQUIRE_FALSE(empty.give(frame(0x88, "")));
  CHECK(empty.server.closed() == close_code::none);
  byte_string said;
  l.client.append_close(static_cast<close_code>(4014), said);
  line other;
  REQUIRE_FALSE(other.give(said));
  CHECK(other.server.closed() == static_cast<close_code>(4014));
}

TEST_CASE("a flood of pings whose answers wait ends the connection", "[websocket]") {
  line l;
  std::error_code wrong;
  std::size_t pings = 0;
  for (; !wrong && pings < 10000; ++pings) wrong = l.give(frame(0x89, "0123456789"));
  CHECK(wrong == websocket_error::protocol_violation);
  CHECK(l.answers.size() <= maximum_unsent_pongs + 200);
  line read;
  for (std::size_t i = 0; i < 2 * pings; ++i) {
    REQUIRE_FALSE(read.give(frame(0x89, "0123456789")));
    read.server.handle_sent();
  }
}

TEST_CASE("the accept value is that of the example in RFC 6455", "[websocket]") {
  CHECK(accept_value("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("a request and its acceptance fit each other", "[websocket]") {
  std::string request =
      make_request(parse_url("ws://a.example/ilm", "/"), "dGhlIHNhbXBsZSBub25jZQ==");
  auto asked = http_head::parse(request);
  REQUIRE(asked);
  CHECK_FALSE(check_request(*asked, "/ilm", {}));
  CHECK(check_request(*asked, "/other", {}) == websocket_error::wrong_path);
  auto answer = http_head::parse(make_acceptance(*asked));
  REQUIRE(answer);
  CHECK_FALSE(check_answer(*answer, "dGhlIHNhbXBsZSBub25jZQ=="));
  CHECK(check_answer(*answer, "AAAAIHNhbXBsZSBub25jZQ==").code == websocket_error::not_upgraded);
  auto refused = http_head::parse("HTTP/1.1 502 Bad Gateway\r\n\r\n");
  ilm::detail::failure why = check_answer(*refused, "");
  CHECK(why.code == websocket_error::not_upgraded);
  CHECK_THAT(why.text, test::ContainsSubstring("502 Bad Gateway"));
}

TEST_CASE("a query is no part of the path that is asked for", "[websocket]") {
  url to = parse_url("ws://a.example/ilm?token=1", "/");
  auto asked = http_head::parse(make_request(to, "dGhlIHNhbXBsZSBub25jZQ=="));
  REQUIRE(asked);
  CHECK_FALSE(check_request(*asked, "/ilm", {}));
  CHECK(check_request(*asked, "/il", {}) == websocket_error::wrong_path);
}

TEST_CASE("a target may be a whole URL, whose host counts", "[websocket]") {
  auto refusal = [](const std::string& target, const std::string& origin) {
    auto asked = http_head::parse(
        "GET " + target +
        " HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ilm.v1\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " +
        origin + "\r\n\r\n");
    REQUIRE(asked);
    return check_request(*asked, "/", {});
  };
  for (const char* whole : {"http://b.example", "HTTPS://b.example/", "http://b.example?x=/ilm"}) {
    CAPTURE(whole);
    CHECK_FALSE(refusal(whole, "http://b.example"));
    CHECK(refusal(whole, "http://a.example") == websocket_error::origin_not_allowed);
  }
  CHECK_FALSE(refusal("/", "http://a.example"));
  for (const char* none : {"http://b.example/ilm", "ftp://b.example/", "?x", "*", "http:", "://"}) {
    CAPTURE(none);
    CHECK(refusal(none, "http://a.example") == websocket_error::wrong_path);
  }
}

TEST_CASE("pages of the same host may connect, others only if they are allowed", "[websocket]") {
  CHECK(is_allowed("http://a.example", "a.example", {}));
  CHECK(is_allowed("https://a.example", "A.example:443", {}));
  CHECK(is_allowed("http://a.example:80", "a.example", {}));
  CHECK(is_allowed("http://[::1]:8080", "[::1]:8080", {}));
  CHECK_FALSE(is_allowed("http://b.example", "a.example", {}));
  CHECK_FALSE(is_allowed("http://a.example:8080", "a.example", {}));
  CHECK_FALSE(is_allowed("http://a.example.evil", "a.example", {}));
  CHECK_FALSE(is_allowed("null", "null", {}));
  CHECK_FALSE(is_allowed("ftp://a.example", "a.example", {}));
  CHECK_FALSE(is_allowed("://a.example", "a.example", {}));
  CHECK(is_allowed("https://page.example", "a.example", {"https://Page.example"}));
  CHECK_FALSE(is_allowed("http://page.example", "a.example", {"https://page.example"}));
  CHECK_FALSE(is_allowed("http://a.example", "a.example", {"https://page.example"}));
  CHECK(is_allowed("null", "a.example", {"null"}));
  CHECK(is_allowed("https://any.example", "a.example", {"*"}));
}

}  // namespace test::websocket_messages
