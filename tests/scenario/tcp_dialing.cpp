#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp/limits.hpp>

#include <cerrno>
#include <chrono>
#include <functional>
#include <set>
#include <string>

using namespace test::tcp;
using ilm::tcp_error;

// The address book: dialing, backing off, and the reports of failures.

namespace {

std::string code_and_text(const std::function<void()>& act, std::error_code& code) {
  try {
    act();
  } catch (const std::system_error& e) {
    code = e.code();
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a port in use is an error that says so", "[tcp]") {
  loop l;
  node a(l, "a");
  network other(l.context, "other");
  std::error_code code;
  std::string text = code_and_text([&] { other.listen(a.address()); }, code);
  CHECK(code == std::errc::address_in_use);
  CHECK_THAT(text, test::ContainsSubstring(a.address()));
  CHECK(other.port() == 0);
  // It can listen elsewhere then; and here, once the port is free.
  a.leave();
  other.listen(a.address());
  CHECK("127.0.0.1:" + std::to_string(other.port()) == a.address());
}

TEST_CASE("a port is free for a successor although sessions were on it", "[tcp]") {
  loop l;
  node b(l, "b");
  std::string address = "127.0.0.1:0";
  for (int round = 0; round < 5; ++round) {
    node a(l, "a", quick(), address);
    address = a.address();
    b.dial(a);
    REQUIRE(joined(l, a, b));
  }
}

TEST_CASE("an address that is none is an error that says why", "[tcp]") {
  loop l;
  network net(l.context, "a");
  for (const char* text : {"", "host", "host:", ":1", "host:x", "host:99999", "host:0", "host:1x",
                           "::1:80", "[::1]", "[::1]80", "[]:1", "a b:1"}) {
    std::error_code code;
    std::string error_text = code_and_text([&] { net.add_peer("b", text); }, code);
    CHECK(code == tcp_error::bad_address);
    CHECK_THAT(error_text, test::ContainsSubstring(text));
  }
  std::error_code code;
  code_and_text([&] { net.listen("nonsense"); }, code);
  CHECK(code == tcp_error::bad_address);
  code_and_text([&] { net.add_peer("a", "host:1"); }, code);
  CHECK(code == tcp_error::own_id);
  code_and_text([&] { net.add_peer("", "host:1"); }, code);
  CHECK(code == ilm::error::invalid_peer_id);
  code_and_text([&] { net.add_peer(std::string(256, 'x'), "host:1"); }, code);
  CHECK(code == ilm::error::invalid_peer_id);
}

TEST_CASE("options that contradict one another are refused with a text", "[tcp]") {
  loop l;
  auto refused = [&](auto change) {
    options o;
    change(o);
    std::error_code code;
    std::string text = code_and_text([&] { network net(l.context, "a", o); }, code);
    CHECK(code == ilm::error::invalid_options);
    return text;
  };
  CHECK_THAT(refused([](options& o) { o.maximum_frame_size = 1000; }),
             test::ContainsSubstring("maximum_frame_size"));
  CHECK_THAT(refused([](options& o) { o.keepalive_timeout = 1s; }),
             test::ContainsSubstring("keepalive_timeout"));
  CHECK_THAT(refused([](options& o) { o.maximum_reconnect_delay = 1ms; }),
             test::ContainsSubstring("reconnect"));
  CHECK_THAT(refused([](options& o) { o.send_buffer = 0; }),
             test::ContainsSubstring("send_buffer"));
  CHECK_THAT(refused([](options& o) { o.maximum_connections_per_address = 0; }),
             test::ContainsSubstring("nobody could connect"));
  std::error_code code;
  code_and_text([&] { network net(l.context, ""); }, code);
  CHECK(code == ilm::error::invalid_peer_id);
}

TEST_CASE("of each of many peers that cannot be reached a problem is told", "[tcp]") {
  loop l;
  node b(l, "b");
  // While the events are not received, more fail than may wait.
  hold(l, b);
  constexpr std::size_t count = 3 * ilm::detail::tcp::problem_limit;
  for (std::size_t i = 0; i < count; ++i) {
    b.control().add_peer("peer " + std::to_string(i), deserted(l));
  }
  l.run_for(200ms);
  b.pause(false);
  std::set<std::string> told;
  CHECK(l.until([&] {
    for (const event& e : b.events()) told.insert(e.peer);
    return told.size() == count;
  }));
  CHECK(b.problems() == count);
}

TEST_CASE("a name is looked up, and IPv6 is dialed", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  b.control().add_peer("a", "localhost:" + std::to_string(a.control().port()));
  CHECK(joined(l, a, b));
  std::error_code none;
  asio::ip::tcp::acceptor probe(l.context);
  probe.open(asio::ip::tcp::v6(), none);
  if (!none) probe.bind({asio::ip::address_v6::loopback(), 0}, none);
  if (none) return;
  node c(l, "c", quick(), "[::1]:0");
  b.control().add_peer("c", "[::1]:" + std::to_string(c.control().port()));
  CHECK(joined(l, c, b));
}

TEST_CASE("a name that does not resolve is reported with the resolver's error", "[tcp]") {
  loop l;
  node a(l, "a");
  a.control().add_peer("b", "name.invalid:1");
  CHECK(l.until([&] { return a.problems() == 1; }));
  CHECK(a.events().front().error.category() != ilm::tcp_category());
}

TEST_CASE("a dial that fails is reported once, and again when it fails for another reason",
          "[tcp]") {
  loop l;
  std::string address = deserted(l);
  node b(l, "b", quick(), "");
  b.control().add_peer("a", address);
  REQUIRE(l.until(
      [&] { return b.reported("a", std::error_code(ECONNREFUSED, std::system_category())); }));
  l.run_for(200ms);
  CHECK(b.problems() == 1);
  {
    node wrong(l, "not a", quick(), address);
    CHECK(l.until([&] { return b.reported("a", tcp_error::wrong_destination); }));
    CHECK(l.until([&] { return wrong.reported("b", tcp_error::wrong_destination); }));
  }
  node a(l, "a", quick(), address);
  CHECK(joined(l, a, b));
}

TEST_CASE("the wait before dialing again grows to its maximum, and a hint cuts it short", "[tcp]") {
  loop l;
  // Whoever connects is closed: each attempt fails at once, and is counted.
  node a(l, "a");
  proxy turnstile(l, deserted(l));
  options o;
  o.minimum_reconnect_delay = 5ms;
  o.maximum_reconnect_delay = 1h;
  node b(l, "b", o, "");
  b.control().add_peer("a", turnstile.address());
  REQUIRE(l.until([&] { return turnstile.accepted() >= 5; }));
  // Eight doublings make more than half a second: without growth there would be hundreds.
  l.run_for(600ms);
  std::size_t few = turnstile.accepted();
  CHECK(few < 20);
  b.control().reconnect("a");
  CHECK(l.until([&] { return turnstile.accepted() > few; }));
  CHECK(b.reported("a", tcp_error::handshake_cut));
  // Far from its next attempt, it dials a better address at once.
  l.run_for(300ms);
  b.dial(a);
  CHECK(joined(l, a, b));
}

TEST_CASE("after a hint the waits before dialing again begin anew with the shortest", "[tcp]") {
  loop l;
  node a(l, "a");
  proxy turnstile(l, deserted(l));
  options o;
  o.minimum_reconnect_delay = 5ms;
  o.maximum_reconnect_delay = 1h;
  node b(l, "b", o, "");
  b.control().add_peer("a", turnstile.address());
  // The wait is a second by now: without the hint the attempts would take minutes.
  l.run_for(1s);
  std::size_t before = turnstile.accepted();
  b.control().reconnect("a");
  CHECK(l.until([&] { return turnstile.accepted() >= before + 7; }));
}

namespace {

/// "b" dials an address of "a" that takes connections and says nothing, and does so only once.
struct hanging_attempt {
  hanging_attempt() {
    b.control().add_peer("a", "127.0.0.1:" + std::to_string(silent.local_endpoint().port()));
    REQUIRE(accept());
  }
  static options patient() {
    options o;
    o.handshake_timeout = o.minimum_reconnect_delay = o.maximum_reconnect_delay = 1h;
    return o;
  }

  /// Whether "b" dials it again.
  bool accept() {
    std::size_t before = accepted.size();
    silent.async_accept(
        [this](std::error_code, asio::ip::tcp::socket s) { accepted.push_back(std::move(s)); });
    return l.until([&] { return accepted.size() > before; });
  }
  /// Whether "b" closes the first connection, which is open at its far end.
  bool is_given_up() {
    accepted.front().non_blocking(true);
    return l.until([&] {
      std::array<std::byte, 1024> ignored;
      std::error_code failed;
      accepted.front().read_some(asio::buffer(ignored), failed);
      return failed == asio::error::eof || failed == asio::error::connection_reset;
    });
  }

  loop l;
  asio::ip::tcp::acceptor silent{l.context, {asio::ip::address_v4::loopback(), 0}};
  std::vector<asio::ip::tcp::socket> accepted;
  node b{l, "b", patient()};
};

}  // namespace

TEST_CASE("a hint gives up an attempt that hangs, and the next one begins at once", "[tcp]") {
  hanging_attempt h;
  h.b.control().reconnect("a");
  CHECK(h.accept());
  CHECK(h.is_given_up());
  CHECK(h.b.problems() == 0);
}

TEST_CASE("an attempt goes on when its peer is put into the address book as it was", "[tcp]") {
  hanging_attempt h;
  std::string address = "127.0.0.1:" + std::to_string(h.silent.local_endpoint().port());
  h.b.control().add_peer("a", address);
  bool again = false;
  h.silent.async_accept([&](std::error_code, const asio::ip::tcp::socket&) { again = true; });
  h.l.run_for(200ms);
  CHECK_FALSE(again);
  h.b.control().add_peer("a", {address, deserted(h.l)});
  CHECK(h.l.until([&] { return again; }));
}

TEST_CASE("an attempt that hangs is given up when its peer is removed", "[tcp]") {
  hanging_attempt h;
  h.b.control().remove_peer("a");
  CHECK(h.is_given_up());
  CHECK(h.b.problems() == 0);
  // Once it is back in the book it is dialed.
  node a(h.l, "a");
  h.b.dial(a);
  CHECK(joined(h.l, a, h.b));
}

TEST_CASE("an attempt that hangs is given up when its peer dials", "[tcp]") {
  hanging_attempt h;
  node a(h.l, "a");
  a.dial(h.b);
  REQUIRE(joined(h.l, a, h.b));
  CHECK(h.is_given_up());
  CHECK(h.b.problems() == 0);
  CHECK(a.ups("b") == 1);
}

TEST_CASE("the handshake with another address of a peer waits for the one that is under way",
          "[tcp]") {
  loop l;
  // Both take connections and say nothing.
  asio::ip::tcp::acceptor first(l.context, {asio::ip::address_v4::loopback(), 0});
  asio::ip::tcp::acceptor second(l.context, {asio::ip::address_v4::loopback(), 0});
  asio::ip::tcp::socket to_first(l.context), to_second(l.context);
  first.async_accept(to_first, [](std::error_code) {});
  second.async_accept(to_second, [](std::error_code) {});
  auto address_of = [](const asio::ip::tcp::acceptor& a) {
    return "127.0.0.1:" + std::to_string(a.local_endpoint().port());
  };
  auto hears = [](const asio::ip::tcp::socket& s) { return s.is_open() && s.available() > 0; };
  std::string one = address_of(first), other = address_of(second);
  options o = quick();
  o.handshake_timeout = 1h;
  node b(l, "b", o, "");
  auto begin = std::chrono::steady_clock::now();
  b.control().add_peer("a", {one, other});
  REQUIRE(l.until([&] { return hears(to_first); }));
  REQUIRE(l.until([&] { return hears(to_second); }));
  CHECK(std::chrono::steady_clock::now() - begin >= ilm::detail::tcp::handshake_head_start);
}

TEST_CASE("an attempt that hangs ends in time and is reported", "[tcp]") {
  loop l;
  asio::ip::tcp::acceptor silent(l.context, {asio::ip::address_v4::loopback(), 0});
  options o = quick();
  o.handshake_timeout = 50ms;
  node b(l, "b", o, "");
  b.control().add_peer("a", "127.0.0.1:" + std::to_string(silent.local_endpoint().port()));
  CHECK(l.until([&] { return b.reported("a", tcp_error::handshake_timeout); }));
}

TEST_CASE("a peer that is removed is not dialed, and its session ends", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  b.dial(a);
  REQUIRE(joined(l, a, b));
  b.control().remove_peer("a");
  REQUIRE(l.until([&] { return !a.up("b") && !b.up("a"); }));
  l.run_for(150ms);
  CHECK(a.ups("b") == 1);
  // It is let in when it dials, and dialed when it is back in the book.
  a.dial(b);
  CHECK(joined(l, a, b));
  a.control().remove_peer("b");
  REQUIRE(l.until([&] { return !a.up("b") && !b.up("a"); }));
  b.dial(a);
  CHECK(joined(l, a, b));
}

TEST_CASE("another address in the book is dialed at once when the old one leads nowhere", "[tcp]") {
  loop l;
  node a(l, "a");
  options o;
  o.minimum_reconnect_delay = o.maximum_reconnect_delay = 1h;
  node b(l, "b", o, "");
  b.control().add_peer("a", deserted(l));
  REQUIRE(l.until([&] { return b.problems() == 1; }));
  b.dial(a);
  CHECK(joined(l, a, b));
}

TEST_CASE("a command of a control is carried out, whenever it comes", "[tcp]") {
  for (int steps = 0; steps < 12; ++steps) {
    loop l;
    node a(l, "a"), b(l, "b");
    for (int i = 0; i < steps; ++i) l.context.poll_one();
    b.dial(a);
    CHECK(joined(l, a, b));
  }
}

TEST_CASE("a control does nothing once its network is gone, nor before it runs", "[tcp]") {
  loop l;
  std::optional<ilm::tcp_control<>> control;
  {
    network net(l.context, "a");
    control = net.control();
    control->add_peer("b", "127.0.0.1:1");
    control->reconnect("b");
    net.listen("127.0.0.1:0");
    CHECK(control->port() == net.port());
    CHECK(net.local_endpoint().port() == net.port());
  }
  control->add_peer("c", "127.0.0.1:1");
  control->remove_peer("c");
  control->reconnect("b");
  l.run_for(5ms);
}

TEST_CASE("a dial that still fails after a hint is reported again", "[tcp]") {
  loop l;
  std::string address = deserted(l);
  node b(l, "b", quick(), "");
  b.control().add_peer("a", address);
  REQUIRE(l.until([&] { return b.problems() == 1; }));
  b.control().reconnect("a");
  CHECK(l.until([&] { return b.problems() == 2; }));
}

TEST_CASE("a dial that fails after a session is reported, though it failed alike before", "[tcp]") {
  loop l;
  std::string address = deserted(l);
  node b(l, "b", quick(), "");
  b.control().add_peer("a", address);
  std::error_code refused(ECONNREFUSED, std::system_category());
  REQUIRE(l.until([&] { return b.reported("a", refused); }));
  {
    node a(l, "a", quick(), address);
    REQUIRE(joined(l, a, b));
    b.forget();
  }
  CHECK(l.until([&] { return b.reported("a", refused); }));
}
