#include "support/catch.hpp"
#include "support/tcp_strangers.hpp"
#include "support/websocket.hpp"

#include <ilm/networks/websocket/http.hpp>
#include <ilm/networks/websocket/upgrade.hpp>

#include <asio/redirect_error.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test::websocket_hostile_servers {

using namespace tcp;
using ilm::tcp_error;
using ilm::websocket_error;

// A network that dials a server which answers wrongly, slowly, without end or not at all.

namespace {

/// Stands for the right Sec-WebSocket-Accept.
constexpr char right_accept = '@';

std::string answer(const std::string& from = "", const std::string& to = "") {
  std::string text =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Protocol: ilm.v1\r\nSec-WebSocket-Accept: @\r\n\r\n";
  if (!from.empty()) text.replace(text.find(from), from.size(), to);
  return text;
}
std::string with_field(const std::string& field) {
  return answer("\r\n\r\n", "\r\n" + field + "\r\n\r\n");
}

/// A frame of a server, whose length is told by `size_bytes`: 1, 2 or 8.
std::string frame(unsigned first, const std::string& payload, unsigned size_bytes = 0) {
  std::uint64_t size = payload.size();
  if (size_bytes == 0) size_bytes = size < 126 ? 1 : size < 65536 ? 2 : 8;
  std::string all(1, static_cast<char>(first));
  if (size_bytes > 1) all += size_bytes == 2 ? '\x7e' : '\x7f';
  for (unsigned i = size_bytes; i-- > 0;) all += static_cast<char>(size >> (8 * i));
  return all + payload;
}
/// The head of a frame that claims a size of 8 bytes.
std::string huge(unsigned char first_digit) {
  std::string all{'\x82', '\x7f', static_cast<char>(first_digit)};
  return all + std::string(7, '\xff');
}
std::string masked(unsigned first) {
  return std::string{static_cast<char>(first), '\x81'} + std::string(4, '\0') + 'x';
}
std::string closing(unsigned code) {
  return frame(0x88, {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)});
}

/// All that the peer `z` says in the handshake with `b`, so that `b` begins a session.
std::string in_session() {
  return frame(0x82, to_text(hello_of("z", "b").encode())) +
         frame(0x82, to_text(wire::make_message(wire::message_type::proof)));
}

enum class ending { waits, closes, resets };

/// What a server says to each that dials it.
struct behaviour {
  std::string said;
  std::string for_ever{};  ///< said again and again at the end
  ending end = ending::waits;
  std::chrono::milliseconds pause{0};  ///< ahead of each byte
  bool waits_for_request = true;
  std::string said_in_session{};  ///< once there is one
};

class server {
 public:
  server(loop& l, behaviour b) : line_(std::make_shared<line>(l.context, std::move(b))) {
    asio::co_spawn(l.context, accept(line_), asio::detached);
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    line_->acceptor.close();
    for (const auto& weak : line_->dialers) {
      if (auto s = weak.lock()) s->close();
    }
  }

  std::string address() const {
    return "127.0.0.1:" + std::to_string(line_->acceptor.local_endpoint().port());
  }
  /// How many there were, and how many are there.
  std::size_t accepted() const { return line_->dialers.size(); }
  void set_in_session(std::function<bool()> f) { line_->in_session = std::move(f); }
  std::size_t open() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(line_->dialers, [](const auto& weak) { return !weak.expired(); }));
  }

 private:
  using socket = asio::ip::tcp::socket;
  struct line {
    line(asio::io_context& c, behaviour b)
        : does(std::move(b)), acceptor(c, {asio::ip::address_v4::loopback(), 0}) {}
    const behaviour does;
    asio::ip::tcp::acceptor acceptor;
    std::vector<std::weak_ptr<socket>> dialers;
    std::function<bool()> in_session = [] { return true; };
  };

  static asio::awaitable<void> accept(std::shared_ptr<line> l) {
    while (l->acceptor.is_open()) {
      std::error_code failed;
      socket s =
          co_await l->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, failed));
      if (failed) co_return;
      auto kept = std::make_shared<socket>(std::move(s));
      l->dialers.push_back(kept);
      asio::co_spawn(l->acceptor.get_executor(), serve(l, std::move(kept)), asio::detached);
    }
  }

  static asio::awaitable<void> serve(std::shared_ptr<line> l, std::shared_ptr<socket> s) {
    std::error_code failed;
    std::string said = l->does.said;
    if (l->does.waits_for_request) {
      std::string accept_value = co_await read_request(*s, failed);
      std::size_t at = said.find(right_accept);
      if (at != said.npos) said.replace(at, 1, accept_value);
    }
    if (!failed) co_await say(*s, said, l->does.pause, failed);
    while (!failed && !l->does.said_in_session.empty() && !l->in_session()) {
      co_await say(*s, frame(0x8a, ""), 1ms, failed);
    }
    if (!failed) co_await say(*s, l->does.said_in_session, 0ms, failed);
    while (!failed && !l->does.for_ever.empty()) {
      co_await say(*s, l->does.for_ever, l->does.pause, failed);
    }
    if (failed) co_return;
    if (l->does.end == ending::resets) {
      s->set_option(asio::socket_base::linger(true, 0), failed);
      co_return;
    }
    if (l->does.end == ending::closes) s->shutdown(socket::shutdown_send, failed);
    std::array<std::byte, 4096> ignored;
    while (!failed) {
      co_await s->async_read_some(asio::buffer(ignored),
                                  asio::redirect_error(asio::use_awaitable, failed));
    }
  }

  /// The Sec-WebSocket-Accept for it.
  static asio::awaitable<std::string> read_request(socket& s, std::error_code& failed) {
    using namespace ilm::detail::websocket;
    std::string text;
    std::array<char, 4096> part;
    while (!failed && !end_of_head(text)) {
      std::size_t size = co_await s.async_read_some(
          asio::buffer(part), asio::redirect_error(asio::use_awaitable, failed));
      text.append(part.data(), size);
    }
    if (failed) co_return std::string();
    text.resize(end_of_head(text).value());
    co_return accept_value(http_head::parse(text).value().find("sec-websocket-key").value());
  }

  static asio::awaitable<void> say(socket& s, const std::string& text,
                                   std::chrono::milliseconds pause, std::error_code& failed) {
    std::size_t step = pause > 0ms ? 1 : std::max<std::size_t>(text.size(), 1);
    asio::steady_timer timer(s.get_executor());
    for (std::size_t at = 0; at < text.size() && !failed; at += step) {
      timer.expires_after(pause);
      if (pause > 0ms) co_await timer.async_wait(asio::use_awaitable);
      co_await asio::async_write(s, asio::buffer(text.data() + at, step),
                                 asio::redirect_error(asio::use_awaitable, failed));
    }
  }

  std::shared_ptr<line> line_;
};

/// `b` dials a server that does so, and has a session with a good peer all the while.
struct scene {
  explicit scene(behaviour does, ilm::websocket_options o = quick_websocket())
      : evil(l, std::move(does)),
        good(l, websocket(l, "good")),
        b(l, websocket(l, "b", o), ""),
        shortest_wait(o.minimum_reconnect_delay / 2) {
    b.dial(good);
    REQUIRE(joined(l, good, b));
    evil.set_in_session([this] { return b.up("z"); });
    begun_at = std::chrono::steady_clock::now();
    b.control().add_peer("z", "ws://" + evil.address() + "/ilm");
  }

  bool reported(std::error_code why) {
    return l.until([&] { return b.reported("z", why); });
  }
  /// It is dialed again, at intervals, and again after that.
  bool dialed_at_intervals() {
    if (!l.until([&] { return evil.accepted() >= 3; })) return false;
    auto most = (std::chrono::steady_clock::now() - begun_at) / shortest_wait;
    return evil.accepted() <= static_cast<std::size_t>(most) + 1;
  }
  bool good_one_undisturbed() {
    ++said;
    b.send("good", "forth");
    good.send("b", "back");
    return l.until([&] { return good.frames("b") == said && b.frames("good") == said; }) &&
           good.downs("b") + b.downs("good") == 0 && b.orderly();
  }
  /// Whether all connections end with the network that dialed.
  bool leaves_nothing() {
    b.leave();
    return l.until([&] { return evil.open() == 0; });
  }

  void check(std::error_code why) {
    CHECK(reported(why));
    CHECK(good_one_undisturbed());
    CHECK(dialed_at_intervals());
    CHECK(good_one_undisturbed());
    CHECK(leaves_nothing());
  }

  loop l;
  server evil;
  node good, b;
  std::chrono::nanoseconds shortest_wait;
  std::chrono::steady_clock::time_point begun_at;
  std::size_t said = 0;
};

void refuses(const std::string& said, std::error_code why) {
  INFO(said.substr(0, 200));
  scene s(behaviour{said});
  s.check(why);
  CHECK(s.b.ups("z") == 0);
}

/// These frames end the handshake of ILM, and the session of one that was a good peer so far, as it
/// begins and later.
void breaks(const std::string& frames, std::error_code why) {
  INFO(ilm::detail::websocket::to_base64(
      std::as_bytes(std::span(frames)).first(std::min<std::size_t>(frames.size(), 40))));
  scene before(behaviour{answer() + frames});
  before.check(why);
  CHECK(before.b.ups("z") == 0);
  scene at_its_begin(behaviour{answer() + in_session() + frames});
  at_its_begin.check(why);
  scene within(behaviour{answer() + in_session(), {}, ending::waits, 0ms, true, frames});
  within.check(why);
  CHECK(within.b.ups("z") > 0);
}

ilm::websocket_options impatient() {
  ilm::websocket_options o = quick_websocket();
  o.handshake_timeout = 150ms;
  return o;
}

/// So does a server that lets the time for the handshake pass.
void outlasts(behaviour does) {
  INFO(does.said.substr(0, 200));
  scene s(std::move(does), impatient());
  s.check(tcp_error::handshake_timeout);
  CHECK(s.b.ups("z") == 0);
}

}  // namespace

TEST_CASE("a server that answers with something else than a WebSocket is dialed again later",
          "[websocket]") {
  const websocket_error none = websocket_error::not_upgraded;
  refuses(answer("101 Switching Protocols", "200 OK"), none);
  refuses(answer("101 Switching Protocols", "301 Moved\r\nLocation: http://a.example/"), none);
  refuses(answer("101 Switching Protocols", "503 Not Now"), none);
  refuses("HTTP/1.1 100 Continue\r\n\r\n" + answer(), none);
  refuses(answer("HTTP/1.1", "HTTP/1.0"), none);
  refuses(answer("Upgrade: websocket\r\n"), none);
  refuses(answer("Upgrade: websocket", "Upgrade: h2c"), none);
  refuses(answer("Connection: Upgrade\r\n"), none);
  refuses(answer("Connection: Upgrade", "Connection: close"), none);
  refuses(answer("@", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), none);
  refuses(answer("Sec-WebSocket-Accept: @\r\n"), none);
  refuses(with_field("Sec-WebSocket-Accept: x"), none);
  refuses(answer("ilm.v1", "ilm.v2"), websocket_error::wrong_subprotocol);
  refuses(answer("ilm.v1", "ilm.v1, chat"), websocket_error::wrong_subprotocol);
  refuses(answer("Sec-WebSocket-Protocol: ilm.v1\r\n"), websocket_error::wrong_subprotocol);
  refuses(with_field("Sec-WebSocket-Protocol: ilm.v1"), websocket_error::wrong_subprotocol);
  refuses(with_field("Sec-WebSocket-Extensions: permessage-deflate"),
          websocket_error::protocol_violation);
}

TEST_CASE("a server that answers with no HTTP, or with more than it may, is dialed again later",
          "[websocket]") {
  const websocket_error malformed = websocket_error::malformed_http;
  refuses(answer("HTTP/1.1", "HTTP/2"), malformed);
  refuses(answer("HTTP/1.1", "ICY"), malformed);
  refuses("\r\n\r\n", malformed);
  refuses(std::string("\x15\x03\x03\0\x02\x02\x46\r\n\r\n", 11), malformed);
  refuses(with_field("no field"), malformed);
  refuses(with_field("X: y\r\n folded"), malformed);
  refuses(with_field(std::string("X: \0", 4)), malformed);
  refuses(with_field(": no name"), malformed);
  std::string fields = "X: y";
  for (int i = 0; i < 64; ++i) fields += "\r\nX: y";
  refuses(with_field(fields), malformed);
  refuses(with_field("X: " + std::string(9000, 'y')), malformed);
  for (const char* part : {"x", "X: y\r\n", "\r\n "}) {
    scene s(behaviour{"HTTP/1.1 101 Yes\r\nX: ", std::string(part)});
    s.check(malformed);
  }
}

TEST_CASE("a server that ends a connection at any moment is dialed again later", "[websocket]") {
  std::string whole = answer() + in_session();
  std::vector<std::string> said{"", "HTTP/1.1 101", answer(), answer() + '\x82',
                                whole.substr(0, whole.size() - 1)};
  for (const std::string& part : said) {
    for (ending end : {ending::closes, ending::resets}) {
      INFO(part);
      scene s(behaviour{part, {}, end});
      s.check(tcp_error::handshake_cut);
    }
  }
  scene at_once(behaviour{"", {}, ending::resets, 0ms, false});
  at_once.check(tcp_error::handshake_cut);
}

TEST_CASE("a server that ends its sessions as they begin is dialed at intervals", "[websocket]") {
  for (ending end : {ending::closes, ending::resets}) {
    scene s(behaviour{answer() + in_session(), {}, end, 0ms, true, frame(0x8a, "")});
    CHECK(s.l.until([&] { return s.b.downs("z") > 2; }));
    CHECK(s.dialed_at_intervals());
    CHECK(s.good_one_undisturbed());
    CHECK(s.leaves_nothing());
  }
}

TEST_CASE("a server that takes longer than a handshake may is given up, and dialed again later",
          "[websocket]") {
  outlasts({""});
  outlasts({"HTTP/1.1 101 Yes\r\nX: y\r\n"});
  outlasts({answer("\r\n\r\n", "\n\n")});
  outlasts({answer(), {}, ending::waits, 5ms});
  outlasts({"", "x", ending::waits, 5ms});
  outlasts({answer()});
  outlasts({answer() + frame(0x82, to_text(hello_of("z", "b").encode()))});
  outlasts({answer(), frame(0x02, "") + frame(0x80, "")});
  outlasts({answer() + frame(0x02, ""), frame(0x00, "")});
  outlasts({answer(), frame(0x8a, "unasked")});
  outlasts({answer() + std::string("\x82\x7f\0\0\0\0\0\x10\0\0ILMT", 14)});
  outlasts({answer() + frame(0x82, "ILM")});
}

TEST_CASE("a server that breaks RFC 6455 loses its connection, before a session and in it",
          "[websocket]") {
  const websocket_error violation = websocket_error::protocol_violation;
  breaks(frame(0x81, "text"), websocket_error::text_message);
  breaks(frame(0x01, "te") + frame(0x80, "xt"), websocket_error::text_message);
  for (unsigned opcode : {0x83U, 0x87U, 0x8bU, 0x8fU}) breaks(frame(opcode, "x"), violation);
  for (unsigned reserved : {0xc2U, 0xa2U, 0x92U, 0xc9U, 0xf8U}) {
    breaks(frame(reserved, "x"), violation);
  }
  for (unsigned first : {0x82U, 0x89U, 0x88U}) breaks(masked(first), violation);
  for (unsigned control : {0x08U, 0x09U, 0x0aU}) breaks(frame(control, ""), violation);
  for (unsigned control : {0x88U, 0x89U, 0x8aU}) {
    breaks(frame(control, std::string(126, '\x03')), violation);
    breaks(frame(control, "\x03\xe8", 2), violation);
  }
  breaks(frame(0x82, "short", 2), violation);
  breaks(frame(0x82, "short", 8), violation);
  breaks(frame(0x82, std::string(300, 'x'), 8), violation);
  breaks(huge(0x80), violation);
  breaks(huge(0xff), violation);
  breaks(huge(0x7f) + 'x', websocket_error::message_too_large);
  breaks(huge(0x00) + 'x', websocket_error::message_too_large);
  breaks(frame(0x80, "goes on"), violation);
  breaks(frame(0x02, "") + frame(0x82, ""), violation);
  breaks(frame(0x88, "x"), violation);
  for (unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 2999U, 5000U, 65535U}) {
    breaks(closing(code), violation);
  }
  breaks(closing(1011) + frame(0x82, "after all"), websocket_error::closed_for_error);
  breaks(answer(), violation);
}

TEST_CASE("a server that closes its WebSocket in good order is dialed again later", "[websocket]") {
  for (const std::string& close : {closing(1000), closing(1001), frame(0x88, ""), closing(4000)}) {
    scene before(behaviour{answer() + close + close + frame(0x81, "after it")});
    before.check(tcp_error::handshake_cut);
    std::string said = close + frame(0x82, "after it");
    scene within(behaviour{answer() + in_session(), {}, ending::waits, 0ms, true, said});
    CHECK(within.l.until([&] { return within.b.downs("z") > 2; }));
    CHECK(within.dialed_at_intervals());
    CHECK(within.good_one_undisturbed());
    CHECK(within.leaves_nothing());
  }
}

TEST_CASE("a server that floods with pings and reads no answer loses its connection",
          "[websocket]") {
  for (const std::string& until_then : {answer(), answer() + in_session()}) {
    std::string pings;
    for (int i = 0; i < 100; ++i) pings += frame(0x89, std::string(125, 'p'));
    scene s(behaviour{until_then, pings});
    s.check(websocket_error::protocol_violation);
  }
}

TEST_CASE("a server whose session is a flood of nothing holds up nobody", "[websocket]") {
  for (const std::string& flood :
       {frame(0x02, "") + frame(0x80, ""), frame(0x8a, ""), frame(0x82, std::string(4, '\0'))}) {
    std::string many;
    for (int i = 0; i < 1000; ++i) many += flood;
    scene s(behaviour{answer() + in_session(), many});
    REQUIRE(s.l.until([&] { return s.b.up("z"); }));
    for (int i = 0; i < 10; ++i) CHECK(s.good_one_undisturbed());
    CHECK(s.b.downs("z") == 0);
    CHECK(s.leaves_nothing());
  }
}

TEST_CASE("a server that sends a session byte by byte in fragments is a peer", "[websocket]") {
  std::string handshake, contents = to_text(hello_of("z", "b").encode()) +
                                    to_text(wire::make_message(wire::message_type::proof)) +
                                    std::string("\0\0\0\x05hello", 9);
  handshake = frame(0x02, "");
  for (char c : contents) handshake += frame(0x00, "") + frame(0x00, std::string(1, c));
  scene s(behaviour{answer() + handshake + frame(0x80, "")});
  CHECK(s.l.until([&] { return s.b.texts("z") == std::vector<std::string>{"hello"}; }));
  CHECK(s.good_one_undisturbed());
  CHECK(s.leaves_nothing());
}

TEST_CASE("a peer with a hostile server at one of its addresses is reached at the other",
          "[websocket]") {
  std::vector<behaviour> all{{""}, {answer(), frame(0x8a, "")}};
  for (const behaviour& does : all) {
    scene s(does);
    node z(s.l, websocket(s.l, "y"));
    s.b.control().add_peer("y", {"ws://" + s.evil.address(), "ws://" + z.address()});
    CHECK(joined(s.l, z, s.b));
    CHECK(s.good_one_undisturbed());
    CHECK(s.leaves_nothing());
  }
}

}  // namespace test::websocket_hostile_servers
