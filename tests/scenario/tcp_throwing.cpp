#include "support/catch.hpp"
#include "support/tcp.hpp"
#include "support/trap.hpp"

#include <ilm/networks/tcp.hpp>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
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

}  // namespace

TEST_CASE("a codec of peer ids that throws at any step ends one session, and not the network",
          "[tcp][wire]") {
  std::uint64_t number = 1;
  while (survives(number)) ++number;
  CHECK(number > 5);
}

}  // namespace test::tcp_throwing
