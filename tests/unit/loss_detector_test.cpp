#include "support/catch.hpp"

#include <ilm/protocol/loss_detector.hpp>

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
    for (; count > 0; --count) cache.append(ilm::bytes(std::string_view("x")), 1, {});
  }

  /// Sends the messages in one frame, and gives its number.
  std::uint64_t send(const sequences& all, timestamp now) {
    std::uint64_t number = losses.handle_frame(now);
    for (std::uint64_t s : all) {
      losses.handle_sent(cache, s, now);
    }
    return number;
  }
  /// An ack names a message out of order, and echoes its last frame.
  void sack(std::uint64_t s) {
    losses.handle_echo(cache.at(s).frame, cache.at(s).sent_at + 100ms);
    cache.mark_sacked({s, s});
  }
  sequences find(timestamp now) {
    losses.find(cache, now);
    sequences lost;
    for (std::uint64_t s = cache.first(); s < cache.next(); ++s) {
      if (cache.at(s).lost()) lost.push_back(s);
    }
    CHECK(cache.lost() == lost.size());
    CHECK(losses.invariants_hold());
    return lost;
  }

  ilm::options o;
  loss_detector losses;
  outbox_cache cache;
};

}  // namespace

TEST_CASE("a message that is sent carries its moment, its frame and its count") {
  rig r(2);
  r.send({1}, 1ms);
  r.send({1, 2}, 2ms);
  CHECK(r.cache.at(1).sent_at == 2ms);
  CHECK(r.cache.at(1).frame == 2);
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

TEST_CASE("an echo measures the round trip of its frame, if it is newer than any before") {
  rig r(1);
  r.send({1}, 1s);
  r.send({1}, 2s);
  CHECK(r.losses.was_sent(2));
  CHECK_FALSE(r.losses.was_sent(3));
  r.losses.handle_echo(2, 2s + 900ms);
  CHECK(r.losses.times().smoothed() == 200ms);  // 7/8 of 100 and 1/8 of 900
  r.losses.handle_echo(2, 9s);
  r.losses.handle_echo(1, 9s);
  CHECK(r.losses.times().smoothed() == 200ms);
}

TEST_CASE("nothing is lost before an echo names a later frame") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  CHECK(r.find(1h).empty());
  r.losses.handle_echo(1, 100ms);
  CHECK(r.find(1h).empty());
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("a message that a later frame overtook is lost a round trip and a quarter after it") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 10ms);
  r.sack(2);
  CHECK(r.find(125ms - 1ns).empty());
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{1});
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("a message of the same frame, or a later one, was not overtaken") {
  rig r(3);
  r.send({1, 2}, 0ms);
  r.send({3}, 0ms);
  r.sack(2);
  CHECK(r.find(1h).empty());
  CHECK(r.losses.deadline() == never);
}

TEST_CASE("the detector looks again when the first of the overtaken messages is lost") {
  rig r(4);
  r.send({1}, 0ms);
  r.send({2}, 5ms);
  r.send({3}, 7ms);
  r.send({4}, 10ms);
  r.sack(4);
  CHECK(r.find(110ms).empty());
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{1});
  CHECK(r.losses.deadline() == 130ms);
  CHECK(r.find(130ms) == sequences{1, 2});
  CHECK(r.losses.deadline() == 132ms);
}

TEST_CASE("a message that arrived out of order or is lost already is passed over") {
  rig r(4);
  for (std::uint64_t s = 1; s <= 4; ++s) r.send({s}, 0ms);
  r.sack(2);
  r.sack(4);
  r.cache.mark_lost(1);
  CHECK(r.find(100ms) == sequences{1});
  CHECK(r.losses.deadline() == 125ms);
  CHECK(r.find(125ms) == sequences{1, 3});
}

TEST_CASE("a retransmission is overtaken by what was sent after it, not by what was before") {
  rig r(3);
  r.send({1}, 0ms);
  r.send({2}, 10ms);
  r.sack(2);
  REQUIRE(r.find(125ms) == sequences{1});
  r.send({1}, 130ms);
  CHECK(r.find(1h).empty());
  r.send({3}, 140ms);
  r.sack(3);
  CHECK(r.find(255ms - 1ns).empty());
  CHECK(r.find(255ms) == sequences{1});
}

TEST_CASE("a lost message behind retransmissions is found") {
  rig r(4);
  for (std::uint64_t s = 1; s <= 3; ++s) r.send({s}, 0ms);
  r.send({1}, 50ms);
  r.send({4}, 50ms);
  r.losses.handle_echo(4, 150ms);  // that of the retransmission
  CHECK(r.find(150ms) == sequences{2, 3});
}

TEST_CASE("a retransmission was needless if its message is acknowledged before its frame is") {
  for (bool needless : {true, false}) {
    rig r(1);
    std::uint64_t first = r.send({1}, 0ms);
    std::uint64_t second = r.send({1}, 50ms);
    r.losses.handle_echo(needless ? first : second, needless ? 100ms : 150ms);
    r.losses.handle_arrival(r.cache.at(1));
    CHECK(r.losses.times().reordering() == (needless ? 50ms : 25ms));
  }
}

TEST_CASE("an acknowledgement without a newer echo shows no needless first transmission") {
  rig r(1);
  r.send({1}, 0ms);
  r.losses.handle_arrival(r.cache.at(1));
  CHECK(r.losses.times().reordering() == 25ms);
}

TEST_CASE("only messages in flight are looked at") {
  rig r(5);
  for (std::uint64_t s = 1; s <= 4; ++s) r.send({s}, 0ms);
  r.sack(4);
  r.cache.erase_below(2);
  CHECK(r.find(1h) == sequences{2, 3});
}

TEST_CASE("a new session forgets the frames of the one before, and its end the deadline") {
  rig r(2);
  r.send({1}, 0ms);
  r.send({2}, 0ms);
  r.sack(2);
  CHECK(r.find(100ms).empty());
  CHECK(r.losses.deadline() == 125ms);
  r.losses.handle_session_end();
  CHECK(r.losses.deadline() == never);
  r.losses.handle_session();
  r.cache.reset_transmissions();
  CHECK(r.send({1, 2}, 1s) == 1);
  CHECK(r.find(1h).empty());
}
