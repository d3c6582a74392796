#include "support/catch.hpp"
#include "support/tcp_strangers.hpp"
#include "support/websocket.hpp"

#include <ilm/networks/websocket/upgrade.hpp>

#include <asio/write.hpp>

#include <deque>
#include <string>
#include <utility>

namespace test::websocket_strangers {

using namespace tcp;
using ilm::tcp_error;
using ilm::websocket_error;

// Browsers, proxies and strangers before a network over WebSocket.

namespace {

std::string heard_text(plain_socket& s) { return to_text(s.heard()); }

/// A request for a WebSocket, in which a test changes a word.
std::string request(const std::string& from = "", const std::string& to = "") {
  std::string text =
      "GET /ilm HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, ilm.v1\r\n"
      "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text;
}
std::string with_origin(const std::string& origin) {
  return request("\r\n\r\n", "\r\nOrigin: " + origin + "\r\n\r\n");
}

/// A frame of a client, masked with zeros.
std::string frame(unsigned first, const std::string& payload) {
  std::string all{static_cast<char>(first), static_cast<char>(0x80U | payload.size())};
  return all + std::string(4, '\0') + payload;
}
/// The frame in which a server says `code` and goes.
std::string closing(unsigned code) {
  return {'\x88', '\x02', static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
}

struct scene {
  explicit scene(ilm::websocket_options o = quick_websocket())
      : a(l, websocket(l, "a", std::move(o))) {}

  /// All that a stranger hears that says this, until it is closed.
  std::string answer(const std::string& said) {
    plain_socket s(l, a.address());
    s.say(said);
    REQUIRE(l.until([&] { return s.closed(); }));
    return heard_text(s);
  }
  /// A stranger that has its WebSocket.
  plain_socket& upgraded() {
    plain_socket& s = strangers.emplace_back(l, a.address());
    s.say(request());
    REQUIRE(l.until([&] { return heard_text(s).ends_with("\r\n\r\n"); }));
    greeting = s.heard().size();
    return s;
  }
  /// A stranger that has a session under the name 0.
  plain_socket& in_session() {
    plain_socket& s = upgraded();
    auto said = [&](const ilm::detail::tcp::byte_string& m) { s.say(frame(0x82, to_text(m))); };
    said(hello_of("0", "a").encode());
    REQUIRE(l.until([&] { return heard_text(s).find("ILMT") != std::string::npos; }));
    said(wire::make_message(wire::message_type::proof));
    said(wire::make_message(wire::message_type::go));
    REQUIRE(l.until([&] { return a.up("0"); }));
    return s;
  }
  /// All that such a one hears that goes on so.
  std::string frames(const std::string& said) {
    plain_socket& s = upgraded();
    s.say(said);
    REQUIRE(l.until([&] { return s.closed(); }));
    return heard_text(s).substr(greeting);
  }

  loop l;
  node a;
  std::deque<plain_socket> strangers;
  std::size_t greeting = 0;
};

}  // namespace

TEST_CASE("a request that is none for this network is answered with the reason, and reported",
          "[websocket]") {
  auto refuses = [](const std::string& said, const char* status, websocket_error why) {
    scene s;
    std::string answer = s.answer(said);
    CHECK_THAT(answer, ContainsSubstring(std::string("HTTP/1.1 ") + status));
    CHECK_THAT(answer, ContainsSubstring(make_error_code(why).message()));
    CHECK(s.l.until([&] { return s.a.reported({}, why); }));
    CHECK_THAT(s.a.problem_texts(why).front(), ContainsSubstring("from 127.0.0.1:"));
  };
  refuses("hello\r\n\r\n", "400", websocket_error::malformed_http);
  refuses(std::string(9000, 'x'), "400", websocket_error::malformed_http);
  refuses(request("HTTP/1.1", "HTTP/1.0"), "426", websocket_error::not_upgraded);
  refuses(request("HTTP/1.1", "HTTP/2.0"), "400", websocket_error::malformed_http);
  refuses(request("Host: a.example\r\n"), "400", websocket_error::malformed_http);
  refuses(request("GET", "PUT"), "400", websocket_error::malformed_http);
  refuses(request("AAAA==", "AA=="), "400", websocket_error::malformed_http);
  refuses(request("AAAA==", "AA!A=="), "400", websocket_error::malformed_http);
  refuses(request("Upgrade: websocket\r\n", "Upgrade: websocket\r\nContent-Length: 1\r\n"), "400",
          websocket_error::malformed_http);
  refuses(request("Upgrade: websocket\r\n"), "426", websocket_error::not_upgraded);
  refuses(request("/ilm", "/other"), "404", websocket_error::wrong_path);
  refuses(request("Version: 13", "Version: 8"), "426", websocket_error::unsupported_version);
  refuses(request("ilm.v1", "ilm.v2"), "400", websocket_error::wrong_subprotocol);
  refuses(with_origin("https://evil.example"), "403", websocket_error::origin_not_allowed);
}

TEST_CASE("a page of the host that it connects to gets in, and one that the options allow",
          "[websocket]") {
  scene s;
  auto welcome = [&](scene& to, const std::string& said) {
    plain_socket& stranger = to.strangers.emplace_back(to.l, to.a.address());
    stranger.say(said);
    return to.l.until([&] { return heard_text(stranger).ends_with("\r\n\r\n"); }) &&
           heard_text(stranger).starts_with("HTTP/1.1 101 ");
  };
  CHECK(welcome(s, request()));
  CHECK(welcome(s, with_origin("https://a.example")));
  CHECK(welcome(s, request("/ilm", "http://b.example/ilm?x=y")));
  ilm::websocket_options o = quick_websocket();
  o.allowed_origins = {"https://chat.example"};
  scene other(o);
  CHECK(welcome(other, with_origin("https://chat.example")));
  CHECK_THAT(other.answer(with_origin("https://a.example")), ContainsSubstring("403"));
}

TEST_CASE("the acceptance names the subprotocol and proves that the request was read",
          "[websocket]") {
  scene s;
  std::string said = heard_text(s.upgraded());
  CHECK_THAT(said, ContainsSubstring("Sec-WebSocket-Protocol: ilm.v1\r\n"));
  CHECK_THAT(said, ContainsSubstring(
                       "Sec-WebSocket-Accept: " +
                       ilm::detail::websocket::accept_value("AAAAAAAAAAAAAAAAAAAAAA==") + "\r\n"));
}

TEST_CASE("a client that breaks the protocol is closed with the code for it, and reported",
          "[websocket]") {
  auto closes = [](const std::string& said, unsigned code, websocket_error why) {
    scene s;
    CHECK(s.frames(said) == closing(code));
    CHECK(s.l.until([&] { return s.a.reported({}, why); }));
  };
  closes(frame(0x81, "text"), 1003, websocket_error::text_message);
  closes(std::string("\x82\x01x", 3), 1002, websocket_error::protocol_violation);
  closes(frame(0xf2, "x"), 1002, websocket_error::protocol_violation);
  closes(frame(0x88, "x"), 1002, websocket_error::protocol_violation);
  closes("\x82\xff" + std::string(8, '\x7f') + std::string(100000, 'x'), 1009,
         websocket_error::message_too_large);
}

TEST_CASE("bytes in a message that are not ILM's are refused as on any other transport",
          "[websocket]") {
  scene s;
  std::string said = s.frames(frame(0x82, "GET / HT"));
  CHECK(said == closing(4002));
  CHECK(s.l.until([&] { return s.a.reported({}, tcp_error::not_ilm); }));
}

TEST_CASE("a handshake in fragments of a byte, with pings between, is one", "[websocket]") {
  scene s;
  plain_socket& stranger = s.upgraded();
  auto hello = hello_of("b", "a").encode();
  for (std::size_t i = 0; i < hello.size(); ++i) {
    unsigned first = (i == 0 ? 0x02U : 0x00U) | (i + 1 == hello.size() ? 0x80U : 0U);
    stranger.say(frame(first, std::string(1, static_cast<char>(hello[i]))));
    if (i % 16 == 0) stranger.say(frame(0x89, "p"));
  }
  CHECK(s.l.until([&] { return heard_text(stranger).find("ILMT") != std::string::npos; }));
  CHECK_THAT(heard_text(stranger), ContainsSubstring(std::string("\x8a\x01p", 3)));
}

TEST_CASE(
    "a close frame in the handshake, and a connection that ends without one, concern nobody") {
  scene s;
  s.upgraded().say(frame(0x88, "\x03\xe8"));
  s.upgraded().close();
  CHECK(s.l.until([&] { return s.strangers.front().closed(); }));
  s.l.run_for(20ms);
  CHECK(s.a.problems() == 0);
}

TEST_CASE("a dialer is told why by the code of the refusal, and both by their events",
          "[websocket]") {
  ilm::websocket_options closed = quick_websocket();
  closed.address_book_only = true;
  scene s(closed);
  node b(s.l, websocket(s.l, "b"));
  b.dial(s.a);
  CHECK(s.l.until([&] { return b.reported("a", tcp_error::peer_not_accepted); }));
  CHECK(s.a.reported("b", tcp_error::peer_not_accepted));
}

TEST_CASE("a dialer says what an HTTP server answers that has no WebSocket", "[websocket]") {
  scene s;
  node b(s.l, websocket(s.l, "b"), "");
  b.control().add_peer("a", "ws://" + s.a.address() + "/elsewhere");
  REQUIRE(s.l.until([&] { return b.reported("a", websocket_error::not_upgraded); }));
  std::string text = b.problem_texts(websocket_error::not_upgraded).front();
  CHECK_THAT(text, ContainsSubstring("/elsewhere"));
  CHECK_THAT(text, ContainsSubstring("404 Not Found"));
  node plain(s.l, tcp::network(ilm::tcp_network<>(s.l.context, "plain", quick())));
  b.control().add_peer("plain", plain.address());
  CHECK(s.l.until([&] { return b.problems() > 1; }));
}

TEST_CASE("an address for a WebSocket names the mistake, and says that wss needs a proxy",
          "[websocket]") {
  loop l;
  node b(l, websocket(l, "b"), "");
  auto text_of = [&](const char* address) -> std::string {
    try {
      b.control().add_peer("a", address);
    } catch (const std::system_error& e) {
      if (e.code() == tcp_error::bad_address) return e.what();
    }
    return {};
  };
  CHECK_THAT(text_of("wss://a.example"), ContainsSubstring("proxy"));
  CHECK_THAT(text_of("http://a.example"), ContainsSubstring("ws or wss"));
  CHECK(text_of("ws://127.0.0.1:1/x").empty());
}

TEST_CASE("requests that are not for a WebSocket go to the application, with all that was read",
          "[websocket]") {
  ilm::websocket_options o = quick_websocket();
  std::deque<std::pair<asio::ip::tcp::socket, std::string>> taken;
  o.on_http_request = [&](asio::ip::tcp::socket s, std::string read) {
    if (read.starts_with("GET /throw")) throw std::runtime_error("no page here");
    taken.emplace_back(std::move(s), std::move(read));
  };
  scene s(o);
  plain_socket browser(s.l, s.a.address());
  browser.say("GET /page HTTP/1.1\r\nHost: a.example\r\n\r\nand more");
  REQUIRE(s.l.until([&] { return !taken.empty(); }));
  CHECK(taken.front().second == "GET /page HTTP/1.1\r\nHost: a.example\r\n\r\nand more");
  asio::write(taken.front().first, asio::buffer("the page", 8));
  taken.clear();
  CHECK(s.l.until([&] { return browser.closed(); }));
  CHECK(heard_text(browser) == "the page");
  CHECK_THAT(s.answer(request("/ilm", "/other")), ContainsSubstring("404"));
  // As a proxy asks that looks whether this side is alive.
  plain_socket proxy(s.l, s.a.address());
  proxy.say("GET / HTTP/1.0\r\n\r\n");
  CHECK(s.l.until([&] { return !taken.empty(); }));
  taken.clear();
  CHECK(s.answer("GET /throw HTTP/1.1\r\nHost: a.example\r\n\r\n").empty());
}

TEST_CASE("a session over WebSocket ends when the other side breaks the protocol in it",
          "[websocket]") {
  scene s;
  plain_socket& stranger = s.in_session();
  stranger.say(frame(0x81, "text"));
  REQUIRE(s.l.until([&] { return stranger.closed(); }));
  CHECK(heard_text(stranger).ends_with(closing(1003)));
  CHECK(s.l.until([&] { return s.a.reported("0", websocket_error::text_message); }));
  CHECK(s.a.downs("0") == 1);
}

TEST_CASE("pings in a session that is idle otherwise are answered, a thousand at once as well",
          "[websocket]") {
  ilm::websocket_options o = quick_websocket();
  o.keepalive_interval = 0ms;
  scene s(o);
  plain_socket& stranger = s.in_session();
  std::size_t before = stranger.heard().size();
  std::string pong{'\x8a', '\x04', 'p', 'i', 'n', 'g'}, pings, pongs = pong;
  stranger.say(frame(0x89, "ping"));
  REQUIRE(s.l.until([&] { return stranger.heard().size() == before + pong.size(); }));
  for (int i = 0; i < 1000; ++i, pongs += pong) pings += frame(0x89, "ping");
  stranger.say(pings);
  REQUIRE(s.l.until([&] { return stranger.heard().size() == before + pongs.size(); }));
  CHECK(heard_text(stranger).substr(before) == pongs);
  CHECK(s.a.downs("0") == 0);
}

TEST_CASE("pings of both sides that cross on their way are answered, and the session goes on",
          "[websocket]") {
  ilm::websocket_options o = quick_websocket();
  o.keepalive_interval = 0ms;
  scene s(o);
  plain_socket& stranger = s.in_session();
  const std::string prefix{'\x82', '\x04'}, ping(4, '\xff'), empty(4, '\0');
  std::string said = heard_text(stranger);
  s.a.control().reconnect("0");
  said += prefix + ping;
  REQUIRE(s.l.until([&] { return heard_text(stranger) == said; }));
  stranger.say(frame(0x82, ping) + frame(0x89, "p"));
  said += std::string{'\x8a', '\x01', 'p'} + prefix + empty;
  CHECK(s.l.until([&] { return heard_text(stranger) == said; }));
  stranger.say(frame(0x82, empty));
  s.l.run_for(1100ms);  // longer than a side waits for an answer
  CHECK(heard_text(stranger) == said);
  CHECK(s.a.downs("0") == 0);
}

TEST_CASE("a peer that ends its side without a close frame is not told of an error",
          "[websocket]") {
  scene s;
  for (plain_socket* stranger : {&s.upgraded(), &s.in_session()}) {
    stranger->socket().shutdown(asio::ip::tcp::socket::shutdown_send);
    CHECK(s.l.until([&] { return stranger->closed(); }));
    CHECK(heard_text(*stranger).ends_with(closing(1000)));
  }
  CHECK(s.a.problems() == 0);
}

TEST_CASE("a peer dials the URL of a server behind a proxy", "[websocket]") {
  loop l;
  asio::io_context& context = l.context;
  // [server]
  ilm::websocket_options options;
  options.allowed_origins = {"https://chat.example"};
  ilm::websocket_network<> network(context, "server", options);
  network.listen("127.0.0.1:0");
  // [server]
  node server(l, tcp::network(std::move(network)), "");
  proxy between(l, server.address());
  node b(l, websocket(l, "b"), "");
  b.control().add_peer("server", "ws://" + between.address() + "/ilm");
  CHECK(joined(l, server, b));
}

TEST_CASE("options of a path that none can be are refused", "[websocket]") {
  loop l;
  ilm::websocket_options o = quick_websocket();
  for (const char* path : {"", "ilm", "/a b", "/a?b", "/a\r\n"}) {
    o.path = path;
    CHECK_THROWS_AS(websocket(l, "a", o), std::system_error);
  }
  o.path = "/a/b";
  node a(l, websocket(l, "a", o)), b(l, websocket(l, "b", o));
  b.dial(a);
  CHECK(joined(l, a, b));
}

TEST_CASE("a ping before the first message of the handshake is answered", "[websocket]") {
  scene s;
  plain_socket& stranger = s.upgraded();
  stranger.say(frame(0x89, "p"));
  CHECK(s.l.until([&] { return heard_text(stranger).ends_with(std::string("\x8a\x01p", 3)); }));
}

TEST_CASE("a request that does not come in time is answered so", "[websocket]") {
  ilm::websocket_options o = quick_websocket();
  o.handshake_timeout = 20ms;
  scene s(o);
  CHECK_THAT(s.answer("GET /ilm HTTP/1.1\r\n"), ContainsSubstring("HTTP/1.1 408 "));
}

}  // namespace test::websocket_strangers
