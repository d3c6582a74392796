#include "support/catch.hpp"
#include "support/tcp.hpp"

using namespace test::tcp;

// A session over TCP: frames whole and in order, one session a pair.

namespace {

std::vector<std::string> numbered(std::size_t count) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < count; ++i) texts.push_back(std::to_string(i));
  return texts;
}

asio::awaitable<void> send_all(network& net, std::string to, std::vector<std::string> texts) {
  for (const std::string& text : texts) {
    bytes_vector frame = to_bytes(text);
    co_await net.send(to, std::move(frame));
  }
}

asio::awaitable<std::error_code> try_send(network& net, std::string to, bytes_vector frame) {
  try {
    co_await net.send(to, std::move(frame));
  } catch (const std::system_error& e) {
    co_return e.code();
  }
  co_return std::error_code();
}

}  // namespace

TEST_CASE("a TCP network is one", "[tcp]") {
  STATIC_REQUIRE(ilm::network<ilm::tcp_network<>>);
  STATIC_REQUIRE(ilm::network<ilm::tcp_network<std::uint64_t>>);
  STATIC_REQUIRE(ilm::tcp_network<>::reliable);
}

TEST_CASE("frames cross whole and in order both ways over TCP, whoever dialed", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  bool smaller_dials = GENERATE(true, false);
  smaller_dials ? a.dial(b) : b.dial(a);
  REQUIRE(joined(l, a, b));
  std::vector<std::string> texts = numbered(5000);
  asio::co_spawn(l.context, send_all(a.net(), "b", texts), asio::detached);
  asio::co_spawn(l.context, send_all(b.net(), "a", texts), asio::detached);
  REQUIRE(l.until([&] { return a.frames("b") == 5000 && b.frames("a") == 5000; }));
  CHECK(a.texts("b") == texts);
  CHECK(b.texts("a") == texts);
  CHECK(a.orderly());
  CHECK(b.orderly());
  CHECK(a.problems() + b.problems() == 0);
}

TEST_CASE("frames of any size up to the maximum cross TCP", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  a.dial(b);
  REQUIRE(joined(l, a, b));
  std::vector<std::string> texts;
  std::size_t maximum = a.net().maximum_frame_size();
  for (std::size_t size : {std::size_t{1}, std::size_t{16380}, std::size_t{16384},
                           std::size_t{65536}, std::size_t{65541}, maximum - 1, maximum}) {
    texts.emplace_back(size, static_cast<char>('a' + texts.size()));
  }
  for (int i = 0; i < 300; ++i) texts.emplace_back(static_cast<std::size_t>(i * i % 7919 + 1), 'x');
  asio::co_spawn(l.context, send_all(a.net(), "b", texts), asio::detached);
  REQUIRE(l.until([&] { return b.frames("a") == texts.size(); }));
  CHECK(b.texts("a") == texts);
}

TEST_CASE("a frame beyond the maximum is not sent over TCP, an empty one not carried", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  a.dial(b);
  REQUIRE(joined(l, a, b));
  std::optional<std::error_code> result;
  asio::co_spawn(l.context, try_send(a.net(), "b", bytes_vector(a.net().maximum_frame_size() + 1)),
                 [&](std::exception_ptr, std::error_code e) { result = e; });
  REQUIRE(l.until([&] { return result.has_value(); }));
  CHECK(*result == ilm::error::frame_too_large);
  a.send("b", "");
  a.send("b", "after");
  REQUIRE(l.until([&] { return b.frames("a") == 1; }));
  CHECK(b.texts("a") == std::vector<std::string>{"after"});
  CHECK(b.downs("a") == 0);
}

TEST_CASE("two peers that dial each other at once end with one session that carries both ways",
          "[tcp]") {
  options o = quick();
  for (int round = 0; round < 200; ++round) {
    loop l;
    node a(l, "a", o), b(l, "b", o);
    a.dial(b);
    b.dial(a);
    // Now and then one is a little ahead.
    if (round % 4 == 1) l.run_for(std::chrono::microseconds(round * 7));
    REQUIRE(joined(l, a, b));
    auto text = std::to_string(round);
    // The session that lives is the one on which both arrive, in one go.
    a.send("b", text);
    b.send("a", text);
    REQUIRE(l.until([&] { return a.frames("b") == 1 && b.frames("a") == 1; }));
    CHECK(a.ups("b") == 1);
    CHECK(b.ups("a") == 1);
    CHECK(a.downs("b") + b.downs("a") == 0);
    CHECK(a.problems() + b.problems() == 0);
  }
}

TEST_CASE("two peers that dial each other keep one session over hundreds of cuts", "[tcp]") {
  loop l;
  options o;
  o.minimum_reconnect_delay = 1ms;
  o.maximum_reconnect_delay = 8ms;
  node a(l, "a", o), b(l, "b", o);
  proxy to_a(l, a.address()), to_b(l, b.address());
  a.control().add_peer("b", to_b.address());
  b.control().add_peer("a", to_a.address());
  for (int round = 0; round < 200; ++round) {
    REQUIRE(joined(l, a, b));
    std::size_t from_a = b.frames("a"), from_b = a.frames("b");
    a.send("b", "ping");
    b.send("a", "pong");
    REQUIRE(l.until([&] { return b.frames("a") > from_a && a.frames("b") > from_b; }));
    std::size_t downs_a = a.downs("b"), downs_b = b.downs("a");
    to_a.cut();
    to_b.cut();
    REQUIRE(l.until([&] { return a.downs("b") > downs_a && b.downs("a") > downs_b; }));
  }
  CHECK(a.orderly());
  CHECK(b.orderly());
}

TEST_CASE("many peers over TCP have one session each", "[tcp]") {
  loop l;
  std::vector<node> nodes;
  for (int i = 0; i < 8; ++i) nodes.emplace_back(l, "p" + std::to_string(i));
  for (node& a : nodes) {
    for (node& b : nodes) {
      if (a.name() != b.name()) a.dial(b);
    }
  }
  for (node& a : nodes) {
    for (node& b : nodes) {
      if (a.name() != b.name()) REQUIRE(joined(l, a, b));
    }
  }
  for (node& a : nodes) {
    for (node& b : nodes) {
      if (a.name() != b.name()) a.send(b.name(), a.name() + b.name());
    }
  }
  for (node& a : nodes) {
    for (node& b : nodes) {
      if (a.name() == b.name()) continue;
      REQUIRE(l.until([&] { return b.frames(a.name()) == 1; }));
      CHECK(b.texts(a.name()) == std::vector<std::string>{a.name() + b.name()});
    }
  }
  for (node& a : nodes) CHECK(a.orderly());
}

TEST_CASE("a frame to an unknown peer, or from before `up` was received, is dropped over TCP",
          "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  auto to_nobody = a.send("nobody", "x");
  REQUIRE(l.until([&] { return *to_nobody; }));
  hold(l, a);
  b.dial(a);
  REQUIRE(l.until([&] { return b.up("a"); }));
  auto early = a.send("b", "early");
  REQUIRE(l.until([&] { return *early; }));
  a.pause(false);
  REQUIRE(joined(l, a, b));
  a.send("b", "late");
  REQUIRE(l.until([&] { return b.frames("a") > 0; }));
  CHECK(b.texts("a") == std::vector<std::string>{"late"});
}

TEST_CASE("a session over TCP that came and went unseen is not reported", "[tcp]") {
  loop l;
  node b(l, "b");
  hold(l, b);
  for (int i = 0; i < 3; ++i) {
    node a(l, "a");
    a.dial(b);
    REQUIRE(l.until([&] { return a.up("b"); }));
    a.send("b", "x");
    l.run_for(20ms);
  }
  l.run_for(50ms);
  b.pause(false);
  l.run_for(50ms);
  CHECK(b.ups("a") + b.downs("a") + b.frames("a") == 0);
}

TEST_CASE("peer ids over TCP may be numbers", "[tcp]") {
  loop l;
  options o = quick();
  ilm::tcp_network<std::uint64_t> a(l.context, 1, o), b(l.context, 2, o);
  a.listen("127.0.0.1:0");
  b.add_peer(1, "127.0.0.1:" + std::to_string(a.port()));
  std::optional<std::uint64_t> seen_by_a, seen_by_b;
  asio::co_spawn(l.context, a.receive(), [&](std::exception_ptr, auto e) { seen_by_a = e.peer; });
  asio::co_spawn(l.context, b.receive(), [&](std::exception_ptr, auto e) { seen_by_b = e.peer; });
  REQUIRE(l.until([&] { return seen_by_a && seen_by_b; }));
  CHECK(*seen_by_a == 2);
  CHECK(*seen_by_b == 1);
}
