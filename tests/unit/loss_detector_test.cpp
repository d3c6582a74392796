#include "support/catch.hpp"

#include <ilm/protocol/loss_detector.hpp>

#include <algorithm>
#include <string_view>
#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

using sequences = std::vector<std::uint64_t>;

/// A detector, and a cache whose messages are in flight once they were sent. The round trip is 100
/// ms: a message is given up 125 ms after it was sent.
struct rig {
  explicit rig(std::uint64_t count) : losses(o) {
    losses.times().sample(100ms);
    for (; count > 0; --count) cache.append(ilm::bytes(std::string_view("x")), 1);
  }

  /// Sends the messages in one frame.
  void send(const sequences& all, timestamp now) {
    losses.handle_frame();
    for (std::uint64_t s : all) {
      losses.handle_sent(cache.at(s), now);
      end = std::max(end, s + 1);
      cache.clear_lost(s);
    }
  }
  /// An ack names a message out of order.
  void sack(std::uint64_t s, timestamp now) {
    losses.handle_arrival(cache.at(s), now);
    cache.at(s).sacked = true;
    losses.handle_disorder(end - 1);
  }
  sequences find(timestamp now) {
    losses.find(cache, cache.first(), end, now);
    sequences lost;
    for (std::uint64_t s = cache.first(); s < cache.next(); ++s) {
      if (cache.at(s).lost) lost.push_back(s);
    }
    CHECK(cache.lost() == lost.size());
    CHECK(losses.invariants_hold());
    return lost;
  }

  ilm::options o;
  loss_detector losses;
  outbox_cache cache;
  std::uint64_t end = 1;
};

}  // namespace

TEST_CASE("a message that is sent carries its moment, its frame and its count") {
  rig r(2);
  r.send({1}, 1ms);
  r.send({1, 2}, 2ms);
  CHECK(r.cache.at(1).sent_at == 2ms);
  CHECK(r.cache.at(1).transmit_serial == 2);
  CHECK(r.cache.at(1).transmissions == 2);
  CHECK(r.cache.at(2).transmissions == 1);
}

TEST_CASE("the count of transmissions ends at its type's bound") {
  rig r(1);
  for (int i = 0; i < 254; ++i) r.send({1}, 1ms);
  CHECK(r.cache.at(1).transmissions == 254);
  r.send({1}, 1ms);
  CHECK(r.cache.at(1).transmissions == 255);
  r.send({1}, 1ms);
  CHECK(r.cache.at(1).transmissions == 255);
}

TEST_CASE("nothing is lost while nothing is out of order") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.losses.handle_arrival(r.cache.at(2), 100ms);
  CHECK(r.find(1h).empty());
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("a message that a later frame overtook is lost a round trip and a quarter after it") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 10ms);
  r.sack(2, 110ms);
  CHECK(r.find(125ms - 1ns).empty());
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{1});
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("a message of the same frame, or a later one, was not overtaken") {
  rig r(3);
  r.send({1, 2}, 0ms);
  r.send({3}, 0ms);
  r.sack(2, 100ms);
  CHECK(r.find(1h).empty());
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("the detector looks again when the first of the overtaken messages is lost") {
  rig r(4);
  r.send({2}, 0ms);
  r.send({1}, 5ms);
  r.send({3}, 7ms);
  r.send({4}, 10ms);
  r.sack(4, 110ms);
  CHECK(r.find(110ms).empty());
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{2});
  CHECK(r.losses.deadline() == 130ms);
  CHECK(r.find(130ms) == sequences{1, 2});
  CHECK(r.losses.deadline() == 132ms);
}

TEST_CASE("a message that arrived out of order or is lost already is passed over") {
  rig r(4);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.send({3}, 0ms);
  r.send({4}, 0ms);
  r.sack(2, 100ms);
  r.sack(4, 100ms);
  r.cache.mark_lost(1);
  CHECK(r.find(100ms) == sequences{1});
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{1, 3});
}

TEST_CASE("disorder ends with the flight in which it was seen") {
  rig r(3);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.losses.handle_disorder(1);
  r.losses.handle_arrival(r.cache.at(2), 100ms);
  CHECK(r.find(1h) == sequences{1});
  r.cache.pop();
  r.send({3}, 1h);
  r.losses.handle_arrival(r.cache.at(3), 1h + 100ms);
  CHECK(r.find(2h).empty());
  r.losses.handle_disorder(2);
  r.losses.handle_disorder(1);  // it does not go back
  CHECK(r.find(2h) == sequences{2});
}

TEST_CASE("a repair is overtaken by what was sent after it, not by what was sent before") {
  rig r(3);
  r.send({1}, 0ms);
  r.send({2}, 10ms);
  r.sack(2, 110ms);
  REQUIRE(r.find(125ms) == sequences{1});
  r.send({1}, 130ms);
  CHECK(r.find(1h).empty());
  r.send({3}, 140ms);
  r.sack(3, 240ms);
  CHECK(r.find(255ms - 1ns).empty());
  CHECK(r.find(255ms) == sequences{1});
}

TEST_CASE(
    "a repair that is acknowledged within half a round trip was needless, and proves nothing") {
  for (bool needless : {true, false}) {
    rig r(2);
    r.send({1}, 0ms);
    r.send({2}, 0ms);
    r.send({1}, 150ms);
    r.losses.handle_disorder(2);
    r.losses.handle_arrival(r.cache.at(1), needless ? 200ms - 1ns : 200ms);
    CHECK(r.losses.times().reordering() == (needless ? 50ms : 25ms));
    CHECK(r.find(1h) == (needless ? sequences{} : sequences{2}));
  }
}

TEST_CASE("a first transmission proves what was sent before it, however soon its ack comes") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.sack(2, 1ns);
  CHECK(r.losses.times().reordering() == 25ms);
  CHECK(r.find(125ms) == sequences{1});
}

TEST_CASE("repairs that turn out needless lengthen the patience up to a whole round trip") {
  rig r(1);
  for (duration patience : {50ms, 75ms, 100ms, 100ms}) {
    r.send({1}, 0ms);
    r.send({1}, 0ms);
    r.losses.handle_arrival(r.cache.at(1), 1ms);
    CHECK(r.losses.times().reordering() == patience);
  }
}

TEST_CASE("an older arrival takes nothing back from a newer one") {
  rig r(3);
  for (std::uint64_t s = 1; s <= 3; ++s) r.send({s}, 0ms);
  r.sack(3, 100ms);
  r.losses.handle_arrival(r.cache.at(1), 100ms);
  r.cache.at(1).sacked = true;
  CHECK(r.find(1h) == sequences{2});
}

TEST_CASE("only messages in flight are looked at") {
  rig r(4);
  for (std::uint64_t s = 1; s <= 4; ++s) r.send({s}, 0ms);
  r.sack(4, 100ms);
  r.losses.find(r.cache, 2, 3, 1h);
  CHECK_FALSE(r.cache.at(1).lost);
  CHECK(r.cache.at(2).lost);
  CHECK_FALSE(r.cache.at(3).lost);
  r.losses.handle_session();
  r.losses.handle_disorder(4);
  CHECK(r.find(2h) == sequences{2});
}

TEST_CASE("a new session forgets arrivals of the one before, and its end the deadline") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.sack(2, 100ms);
  CHECK(r.find(100ms).empty());
  CHECK(r.losses.deadline() == 125ms);
  r.losses.handle_session_end();
  CHECK(r.losses.deadline() == never);
  r.losses.handle_session();
  CHECK(r.find(1h).empty());
}
