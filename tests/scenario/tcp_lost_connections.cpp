#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/tcp_strangers.hpp"

using namespace test::tcp;
using ilm::tcp_error;

// Connections that die without a word, peers that come back, and keepalive.

TEST_CASE("a peer that comes back takes over from its dead connection at once", "[tcp]") {
  loop l;
  options patient = quick();
  patient.keepalive_timeout = 1h;
  // Either may lead, and either may dial.
  bool leads = GENERATE(true, false);
  bool dials = GENERATE(true, false);
  node a(l, leads ? "z" : "a", patient);
  std::optional<node> b;
  b.emplace(l, "m", patient);
  std::string address = b->address();
  proxy between(l, dials ? a.address() : address);
  dials ? b->control().add_peer(a.name(), between.address())
        : a.control().add_peer("m", between.address());
  REQUIRE(joined(l, a, *b));
  between.stall();
  b->leave();
  l.run_for(20ms);
  // The other side has no way to know.
  REQUIRE(a.downs("m") == 0);
  b.emplace(l, "m", patient);
  b->dial(a);
  REQUIRE(l.until([&] { return a.ups("m") == 2 && b->up(a.name()); }));
  a.send("m", "welcome back");
  b->send(a.name(), "thanks");
  CHECK(l.until([&] { return a.frames("m") == 1 && b->frames(a.name()) == 1; }));
  CHECK(a.orderly());
  CHECK(a.downs("m") == 1);
}

TEST_CASE("a peer whose connection died for it alone makes a new one", "[tcp]") {
  loop l;
  bool leads = GENERATE(true, false);
  bool dials = GENERATE(true, false);
  options brisk = quick(), patient = quick();
  brisk.keepalive_interval = 20ms;
  brisk.keepalive_timeout = 100ms;
  patient.keepalive_interval = 20ms;
  patient.keepalive_timeout = 1h;
  node a(l, leads ? "z" : "a", patient), b(l, "m", brisk);
  proxy between(l, dials ? a.address() : b.address());
  dials ? b.control().add_peer(a.name(), between.address())
        : a.control().add_peer("m", between.address());
  REQUIRE(joined(l, a, b));
  between.stall();
  REQUIRE(l.until([&] { return b.reported(a.name(), tcp_error::peer_silent); }));
  CHECK(a.downs("m") == 0);
  b.dial(a);
  REQUIRE(l.until([&] { return a.ups("m") == 2 && b.up(a.name()); }));
  a.send("m", "x");
  CHECK(l.until([&] { return b.frames(a.name()) == 1; }));
  CHECK(a.orderly());
  CHECK(b.orderly());
}

TEST_CASE("keepalive finds a connection that carries nothing any more, on both sides", "[tcp]") {
  loop l;
  options o = quick();
  o.keepalive_interval = 20ms;
  o.keepalive_timeout = 150ms;
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  // An idle session lives.
  l.run_for(500ms);
  CHECK(a.downs("b") + b.downs("a") == 0);
  between.stall();
  CHECK(l.until([&] { return a.reported("b", tcp_error::peer_silent); }));
  CHECK(l.until([&] { return b.reported("a", tcp_error::peer_silent); }));
  CHECK(joined(l, a, b));
  CHECK(a.orderly());
  CHECK(b.orderly());
}

namespace {

/// A peer that does not read for a while: more is sent than its buffer holds.
struct slow_reader {
  slow_reader(options::duration keepalive_interval, options::duration keepalive_timeout)
      : a(l, "a", with(keepalive_interval, keepalive_timeout)),
        b(l, "b", with(keepalive_interval, keepalive_timeout)) {
    hold(l, b);
    b.pause(false);
    a.dial(b);
    REQUIRE(joined(l, a, b));
    b.pause();
    for (int i = 0; i < 40; ++i) a.send("b", std::string(5000, 'x'));
  }

  void expect_same_session() {
    CHECK(a.downs("b") == 0);
    b.pause(false);
    CHECK(l.until([&] { return b.frames("a") == 40; }));
    CHECK(b.downs("a") == 0);
  }

  static options with(options::duration keepalive_interval, options::duration keepalive_timeout) {
    options o = quick();
    o.keepalive_interval = keepalive_interval;
    o.keepalive_timeout = keepalive_timeout;
    o.receive_buffer = 10'000;
    return o;
  }

  loop l;
  node a, b;
};

}  // namespace

TEST_CASE("a peer that is slow to read frames is not given up", "[tcp]") {
  slow_reader s(20ms, 150ms);
  s.l.run_for(600ms);
  s.expect_same_session();
}

TEST_CASE("a session that breaks is made again, with a peer that was restarted as well", "[tcp]") {
  loop l;
  node b(l, "b");
  std::string address = "127.0.0.1:0";
  for (int round = 0; round < 20; ++round) {
    node a(l, "a", quick(), address);
    address = a.address();
    if (round == 0) b.dial(a);
    REQUIRE(joined(l, a, b));
    b.send("a", std::to_string(round));
    REQUIRE(l.until([&] { return a.frames("b") == 1; }));
    CHECK(a.texts("b").front() == std::to_string(round));
  }
  CHECK(l.until([&] { return b.downs("a") == 20; }));
  CHECK(b.ups("a") == 20);
  CHECK(b.orderly());
}

TEST_CASE("frames that keep a connection alive are not received", "[tcp]") {
  loop l;
  options o = quick();
  o.keepalive_interval = 20ms;
  o.keepalive_timeout = 10s;
  node a(l, "a", o), b(l, "b", o);
  a.dial(b);
  REQUIRE(joined(l, a, b));
  l.run_for(200ms);
  CHECK(a.frames("b") == 0);
  CHECK(b.frames("a") == 0);
  CHECK(a.up("b"));
}

namespace {

/// Without a hint, a dead session lasts longer than any test.
options unsuspecting() {
  options o = quick();
  o.keepalive_interval = GENERATE(0ms, 1000'000ms);
  o.keepalive_timeout = 1h;
  return o;
}

}  // namespace

TEST_CASE("a hint ends a session that is dead, and the peer is dialed at once", "[tcp]") {
  loop l;
  options o = unsuspecting();
  o.minimum_reconnect_delay = o.maximum_reconnect_delay = 1h;
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  between.stall();
  b.control().reconnect("a");
  REQUIRE(l.until([&] { return b.ups("a") == 2 && a.ups("b") == 2; }));
  CHECK(b.reported("a", tcp_error::no_answer));
  a.send("b", "x");
  CHECK(l.until([&] { return b.frames("a") == 1; }));
}

TEST_CASE("a session that is dead ends though hints go on and on", "[tcp]") {
  loop l;
  options o = unsuspecting();
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  between.stall();
  CHECK(l.until([&] {
    b.control().reconnect("a");
    return b.reported("a", tcp_error::no_answer);
  }));
}

TEST_CASE("another address of a peer whose session is dead is dialed at once", "[tcp]") {
  loop l;
  options o = unsuspecting();
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  between.stall();
  b.dial(a);
  REQUIRE(l.until([&] { return b.ups("a") == 2 && a.ups("b") == 2; }));
  CHECK(between.accepted() == 1);
}

TEST_CASE("a hint ends a dead session also with a peer that is not in the address book", "[tcp]") {
  loop l;
  options o = unsuspecting();
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.control().add_peer("a", between.address());
  REQUIRE(joined(l, a, b));
  between.stall();
  a.control().reconnect("b");
  CHECK(l.until([&] { return a.reported("b", tcp_error::no_answer); }));
  CHECK(a.downs("b") == 1);
}

TEST_CASE("hints and other addresses do not disturb a session that is alive", "[tcp]") {
  loop l;
  options o = unsuspecting();
  node a(l, "a", o), b(l, "b", o);
  proxy between(l, a.address());
  b.dial(a);
  REQUIRE(joined(l, a, b));
  b.control().add_peer("a", between.address());
  for (int i = 0; i < 24; ++i) {
    b.control().reconnect("a");
    a.control().reconnect("b");
    l.run_for(50ms);
  }
  l.run_for(1100ms);
  CHECK(a.events().size() == 1);
  CHECK(b.events().size() == 1);
}

namespace {

/// As "a", to "b".
void say_first_frame(plain_socket& s) {
  s.say(hello_of("a", "b").encode());
  s.say(wire::make_message(wire::message_type::proof));
  s.say(wire::make_message(wire::message_type::go));
  s.say(std::string_view("\0\0\0\5hello", 9));
}

}  // namespace

TEST_CASE("a side that does not read says that it is alive a few times a second, and no more",
          "[tcp]") {
  loop l;
  options o = quick();
  o.receive_buffer = 1;
  node b(l, "b", o);
  hold(l, b);
  plain_socket s(l, b.address());
  say_first_frame(s);
  l.run_for(100ms);
  std::size_t before = s.heard().size();
  l.run_for(1s);
  CHECK(s.heard().size() >= before + 4);
  CHECK(s.heard().size() <= before + 5 * 4);
}

TEST_CASE("silence of a peer counts from when it is read again", "[tcp]") {
  loop l;
  options o = quick();
  o.receive_buffer = 1;
  o.keepalive_interval = 400ms;
  o.keepalive_timeout = 1s;
  node b(l, "b", o);
  hold(l, b);
  plain_socket s(l, b.address());
  say_first_frame(s);
  l.run_for(100ms);
  // Its last sign of life is about as old as one can be.
  std::size_t before = s.heard().size();
  REQUIRE(l.until([&] { return s.heard().size() > before; }));
  l.run_for(250ms);
  auto begin = std::chrono::steady_clock::now();
  b.pause(false);
  REQUIRE(l.until([&] { return b.reported("a", tcp_error::peer_silent); }));
  CHECK(std::chrono::steady_clock::now() - begin >= o.keepalive_timeout);
}

TEST_CASE("a hint does not end the session of a peer that is slow to read", "[tcp]") {
  slow_reader s(1000s, 1h);
  s.l.run_for(100ms);
  s.a.control().reconnect("b");
  s.l.run_for(1500ms);
  s.expect_same_session();
}
