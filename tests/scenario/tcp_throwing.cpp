#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/trap.hpp"

#include <ilm/networks/tcp.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <map>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace test::tcp_throwing {

using namespace tcp;

// An exception at each step of a network: of a peer id here.

namespace {

using trapped_event = ilm::network_event<trapped_id>;

/// A network whose peer ids may throw, and all that it gives.
struct side {
  explicit side(loop& l) : net(std::in_place, l.context, "b", quick()) {
    net->listen("127.0.0.1:0");
    asio::co_spawn(l.context, receive(), [this](const std::exception_ptr& e) { ended = e; });
  }

  asio::awaitable<void> receive() {
    for (;;) {
      trapped_event e = co_await net->receive();
      trap::pause own;
      if (e.kind == trapped_event::type::problem) ++problems;
      if (e.kind == trapped_event::type::frame) received.push_back(std::stoi(to_text(e.bytes)));
      if (e.kind == trapped_event::type::frame) orderly = orderly && up;
      if (e.kind == trapped_event::type::up) orderly = orderly && !std::exchange(up, true);
      if (e.kind == trapped_event::type::down) orderly = orderly && std::exchange(up, false);
    }
  }

  std::optional<ilm::tcp_network<trapped_id>> net;
  std::exception_ptr ended;
  std::vector<int> received;
  std::size_t problems = 0;
  bool up = false;
  bool orderly = true;
};

/// One session with frames, with an exception of the codec at the step `number`. False if there are
/// fewer steps.
bool survives(std::uint64_t number) {
  INFO("step " << number);
  loop l;
  side b(l);
  node a(l, "a", quick(), "");
  trap::set(trap::kind::codec, number);
  a.control().add_peer("b", "127.0.0.1:" + std::to_string(b.net->port()));
  int sent = 0;
  CHECK(l.until([&] {
    if (a.up("b")) a.send("b", std::to_string(++sent));
    return b.received.size() >= 3;
  }));
  a.leave();
  CHECK(l.until([&] { return !b.up; }));
  bool sprang = trap::sprang();
  trap::clear();
  CHECK_FALSE(b.ended);
  CHECK(b.orderly);
  CHECK(std::is_sorted(b.received.begin(), b.received.end()));
  b.net.reset();
  l.run_for(1ms);
  return sprang;
}

#ifdef ILM_TEST_TRAPS_MEMORY

/// A network that both sends and receives, and all that is heard of it.
struct talker {
  talker(loop& l, const char* name) : loop_(&l), net(std::in_place, l.context, name, hasty()) {
    net->listen("127.0.0.1:0");
    asio::co_spawn(l.context, receive(), [this](const std::exception_ptr& e) { ended = e; });
  }
  ~talker() {
    net.reset();
    loop_->run_for(1ms);
  }
  talker(const talker&) = delete;
  talker& operator=(const talker&) = delete;

  static options hasty() {
    options o = quick();
    o.handshake_timeout = 200ms;
    o.keepalive_interval = 50ms;
    o.keepalive_timeout = 200ms;
    return o;
  }

  asio::awaitable<void> receive() {
    while (net) {
      event e = co_await net->receive();
      trap::pause own;
      if (e.kind == event::type::up) up.insert(e.peer);
      if (e.kind == event::type::down) up.erase(e.peer);
      if (e.kind == event::type::frame) ++frames[e.peer];
    }
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(net->port()); }
  /// A command for which there is no memory is given again.
  template <class Command>
  void command(Command give) {
    try {
      give(*net);
    } catch (const std::bad_alloc&) {
      give(*net);
    }
  }
  void dial(const std::string& peer, const std::string& where) {
    command([&](network& n) { n.add_peer(peer, where); });
  }
  /// Not as often as it is called.
  void say(const std::string& to) {
    trap::pause own;
    auto now = std::chrono::steady_clock::now();
    if (!up.contains(to) || now - said_at < 2ms) return;
    said_at = now;
    asio::co_spawn(loop_->context, send(to), [](const auto&...) {});
  }
  asio::awaitable<void> send(std::string to) {
    std::vector<std::byte> frame(100);
    co_await net->send(to, std::move(frame));
  }

  loop* loop_;
  std::optional<network> net;
  std::exception_ptr ended;
  std::set<std::string> up;
  std::map<std::string, std::size_t> frames;
  std::chrono::steady_clock::time_point said_at{};
};

/// Whether two talk to one another, or one of them has said that it has ended.
bool talk(loop& l, talker& a, const char* b_name, talker& b, const char* a_name) {
  a.frames.clear();
  b.frames.clear();
  auto done = [&] {
    a.say(b_name);
    b.say(a_name);
    trap::pause own;
    return a.ended || b.ended || (a.frames[b_name] >= 3 && b.frames[a_name] >= 3);
  };
  try {
    return l.until(done, 20s);
  } catch (const std::bad_alloc&) {
    // Where Asio has no memory for its own, its context throws.
    return l.until(done, 20s);
  }
}

/// A little history without memory at the step `number`. False if it has fewer steps.
bool survives_without_memory(std::uint64_t number) {
  INFO("step " << number);
  loop l;
  talker a(l, "a"), b(l, "b"), c(l, "c");
  trap::set(trap::kind::memory, number);
  a.dial("b", b.address());
  CHECK(talk(l, a, "b", b, "a"));
  a.command([](network& n) { n.reconnect("b"); });
  a.dial("b", "127.0.0.1:1");
  a.dial("b", b.address());
  CHECK(talk(l, a, "b", b, "a"));
  bool sprang = trap::sprang();
  trap::clear();
  // Those that have not ended still dial, and are dialed.
  if (!a.ended) {
    a.dial("c", c.address());
    CHECK(talk(l, a, "c", c, "a"));
  }
  if (!b.ended) {
    c.dial("b", b.address());
    CHECK(talk(l, c, "b", b, "c"));
  }
  return sprang;
}

void sweep_memory(std::uint64_t stride) {
  std::uint64_t number = 1;
  while (survives_without_memory(number)) number += stride;
  CHECK(number > 100);
}

#endif

}  // namespace

#ifdef ILM_TEST_TRAPS_MEMORY

TEST_CASE("a network without memory at any step goes on, or says that it has ended", "[tcp]") {
  sweep_memory(3);
}

TEST_CASE("a network may be without memory at every step", "[.every_step]") { sweep_memory(1); }

#endif

TEST_CASE("a codec of peer ids that throws at any step ends one session, and not the network",
          "[tcp][wire]") {
  std::uint64_t number = 1;
  while (survives(number)) ++number;
  CHECK(number > 5);
}

}  // namespace test::tcp_throwing
