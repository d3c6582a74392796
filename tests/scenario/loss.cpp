#include "support/catch.hpp"
#include "support/steps.hpp"

using namespace test;

// The cost of lost frames; no wait is for ever.

namespace {

ilm::faults with_delay(std::chrono::nanoseconds delay) {
  ilm::faults f;
  f.delay = delay;
  return f;
}

}  // namespace

TEST_CASE("one lost frame costs about a round trip, and order holds") {
  world w;
  w.net.set_faults(with_delay(50ms));
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  w.net.block("a", "b");
  auto before = clock::now();
  store_all(w, a, "b", {"1"});
  w.run_for(1ms);
  w.net.unblock("a", "b");
  store_all(w, a, "b", {"2"});
  w.run_for(1ms);
  store_all(w, a, "b", {"3"});
  REQUIRE(w.until([&] { return b.app().consumed.size() == 4; }));
  // Without the loss it is half a round trip of 100 ms.
  CHECK(clock::now() - before < 200ms);
  CHECK(b.app().texts() == numbered(4));
}

TEST_CASE("the last frame of a burst is lost: a timer of about a round trip sends it again") {
  world w;
  w.net.set_faults(with_delay(50ms));
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  for (int i = 0; i < 10; ++i) {
    store_all(w, a, "b", {std::to_string(i)});
    w.run_for(300ms);
  }
  w.net.block("a", "b");
  auto before = clock::now();
  store_all(w, a, "b", {"10"});
  w.run_for(1ms);
  w.net.unblock("a", "b");
  REQUIRE(w.until([&] { return b.app().consumed.size() == 11; }));
  CHECK(clock::now() - before < 350ms);
}

TEST_CASE("a full window is in flight, not one message per round trip") {
  world w;
  w.net.set_faults(with_delay(100ms));
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  auto before = clock::now();
  store_all(w, a, "b", numbered(5000));
  w.run_for(10ms);
  CHECK(a.statistics_of("b").in_flight == 5000);
  REQUIRE(w.until([&] { return b.app().consumed.size() == 5000; }));
  CHECK(clock::now() - before < 150ms);
}

TEST_CASE("loss of a quarter of all frames does not stop the rate") {
  world w(3);
  ilm::faults rules = with_delay(10ms);
  rules.loss = 0.25;
  w.net.set_faults(rules);
  peer a = w.make("a"), b = w.make("b");
  ilm::options small;
  small.frame_fill = 1;
  a.start(small);
  b.start();
  store_all(w, a, "b", numbered(2000));
  auto before = clock::now();
  REQUIRE(w.until([&] { return b.app().consumed.size() == 2000; }));
  CHECK(clock::now() - before < 2s);
  CHECK(b.app().texts() == numbered(2000));
}

TEST_CASE("one-way traffic whose last acknowledgement is lost ends") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options quiet;
  quiet.keepalive_interval = 0s;
  a.start(quiet);
  b.start(quiet);
  store_all(w, a, "b", numbered(10));
  REQUIRE(w.until([&] { return empty(a); }));
  w.net.block("b", "a");
  store_all(w, a, "b", {"10"});
  w.run_for(2s);
  REQUIRE(b.app().consumed.size() == 11);
  REQUIRE_FALSE(empty(a));
  w.net.unblock("b", "a");
  REQUIRE(w.until([&] { return empty(a); }, 10s));
  w.run_for(1s);
  std::uint64_t before = w.net.counts().sent;
  w.run_for(24h);
  CHECK(w.net.counts().sent == before);
  CHECK(b.app().texts() == numbered(11));
}

TEST_CASE("lost hellos are sent again") {
  world w;
  w.net.block("a", "b");
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  w.run_for(20s);
  CHECK(a.connected_peers().empty());
  w.net.unblock("a", "b");
  REQUIRE(w.until([&] { return empty(a); }, 10s));
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("corrupted frames are dropped, and their messages retransmitted") {
  world w(5);
  ilm::faults rules = with_delay(1ms);
  rules.corruption = 0.3;
  w.net.set_faults(rules);
  peer a = w.make("a"), b = w.make("b");
  ilm::options small;
  small.frame_fill = 50;
  a.start(small);
  b.start();
  a.watch();
  b.watch();
  store_all(w, a, "b", numbered(500));
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(500));
  CHECK(b.statistics_of("a").frames_rejected > 10);
}

TEST_CASE("a bound on frames holds for every message: no peer pings for ever") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  std::uint64_t before = w.net.counts().sent;
  for (int i = 0; i < 200; ++i) {
    store_all(w, a, "b", {std::to_string(i)});
    w.run_for(20ms);
  }
  // A message, "received", "delivered" with a stamp, and that this is stored; some slack for hellos
  // and keepalive.
  CHECK(w.net.counts().sent - before <= 200 * 4 + 20);

  ilm::faults rules = with_delay(10ms);
  rules.loss = 0.2;
  rules.repetition = 0.2;
  rules.reordering = 0.2;
  w.net.set_faults(rules);
  before = w.net.counts().sent;
  for (int i = 200; i < 1200; ++i) {
    a.send("b", std::to_string(i));
    w.run_for(1ms);
  }
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1200 && empty(a); }));
  CHECK(w.net.counts().sent - before <= 1000 * 8);
  CHECK(b.app().texts() == numbered(1200));
}

TEST_CASE("a peer that goes silent is noticed, and noticed again when it is back") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.net.block("b", "a");
  w.run_for(20s);
  CHECK(a.connected_peers().empty());
  CHECK(a.count(ilm::event_kind::peer_disconnected) == 1);
  w.net.unblock("b", "a");
  w.run_for(20s);
  CHECK(a.connected_peers().size() == 1);
  CHECK(a.count(ilm::event_kind::peer_connected) == 2);
}
