#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

#include <algorithm>

using namespace test;

// A slow, failing, absent or hostile peer delays no other.

TEST_CASE("a failing handler holds the stream, and nothing overtakes") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  int attempts = 0;
  b.app().check = [&](const message& m) {
    if (m.text() == "1" && ++attempts <= 5) throw std::runtime_error("not yet");
  };
  a.start();
  b.start();
  b.watch();
  store_all(w, a, "b", numbered(4));
  w.run_for(20ms);
  CHECK(b.app().texts() == numbered(1));
  CHECK(a.disk().size(ilm::queue::outbox) >= 3);
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(4));
  CHECK(attempts == 6);
  w.run_for(10s);
  REQUIRE(b.count(ilm::event_kind::delivery_failed) == 5);
  CHECK(b.find(ilm::event_kind::delivery_failed)->inbound == ilm::sequence_range{2, 2});
  CHECK(b.find(ilm::event_kind::delivery_failed)->peer == "a");
}

TEST_CASE("a message stays in the outbox until the application has consumed it", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  bool ready = false;
  b.app().check = [&](const message&) {
    if (!ready) throw std::runtime_error("not yet");
  };
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  w.run_for(10min);
  CHECK(a.disk().size(ilm::queue::outbox) == 1);
  CHECK(b.disk().size(ilm::queue::inbox) == 1);
  CHECK(a.statistics_of("b").delivered == 0);
  CHECK(a.statistics_of("b").in_flight == 0);
  ready = true;
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("an application that goes away loses nothing", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().check = [&](const message&) { throw std::runtime_error("gone"); };
  store_all(w, a, "b", numbered(10));
  w.run_for(1s);
  crash(w, b);
  w.run_for(1s);
  b.app().check = {};
  b.start();
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(10));
}

TEST_CASE("an absent, a slow and a failing peer delay no other") {
  world w;
  peer a = w.make("a"), slow = w.make("slow"), failing = w.make("failing"), fast = w.make("fast");
  slow.app().time = 1h;
  failing.app().check = [](const message&) { throw std::runtime_error("never"); };
  for (peer* p : {&a, &slow, &failing, &fast}) p->start();
  for (const char* to : {"absent", "slow", "failing"}) store_all(w, a, to, numbered(100));
  store_all(w, a, "fast", numbered(100));
  CHECK(w.until([&] { return fast.app().consumed.size() == 100; }, 50ms));
  CHECK(a.statistics_of("slow").outbox_depth == 100);
  CHECK(a.statistics_of("failing").outbox_depth == 100);
  CHECK(a.statistics_of("absent").outbox_depth == 100);
}

TEST_CASE("a handler that is slow with one peer's message delays no other peer's") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  w.run_for(100ms);
  c.app().time = 10s;
  store_all(w, a, "c", numbered(5));
  w.run_for(1s);
  store_all(w, b, "c", numbered(1));
  w.run_for(9500ms);
  CHECK(c.app().texts_from("a").size() == 1);
  w.run_for(1s);
  CHECK(c.app().texts_from("b").size() == 1);
  CHECK(c.app().texts_from("a").size() == 1);
  w.run_for(40s);
  CHECK(c.app().texts_from("a") == numbered(5));
}

TEST_CASE("one peer's acknowledgements and resets touch no other peer's state") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b}) p->start();
  store_all(w, a, "c", numbered(5));
  store_all(w, a, "b", numbered(50));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 50; }));
  w.run_for(1s);
  crash(w, b);
  b.lose_store();
  b.start();
  store_all(w, a, "b", {"50"});
  w.run_for(1s);
  CHECK(a.statistics_of("c").outbox_depth == 5);
  CHECK(cursors_of(w, a.disk(), "c").outbox.first == 1);
  CHECK(cursors_of(w, a.disk(), "c").outbox.acknowledged == 0);
  c.start();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(c.app().texts() == numbered(5));
}

TEST_CASE("a hostile peer delays no other") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 20; ++k) {
      x.put(bytes_vector(50, std::byte{0x55}));
      x.put(x.ack_frame(x.ack_of(1000)));
      x.put(x.data_frame(2 + static_cast<std::uint64_t>(k), {"out of order"}));
      x.put(x.hello_frame(1, false));
    }
    store_all(w, b, "a", {std::to_string(i)});
    w.run_for(5ms);
    REQUIRE(a.app().texts_from("b").size() == static_cast<std::size_t>(i) + 1);
  }
  CHECK(a.app().texts_from("x").empty());
}

TEST_CASE("a network that ends leaves the messenger idle, with an event") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  store_all(w, a, "b", numbered(3));
  REQUIRE(w.until([&] { return empty(a); }));
  crash(w, b);
  w.net.end("a");
  w.run_for(1s);
  REQUIRE(a.count(ilm::event_kind::network_ended) == 1);
  CHECK(a.find(ilm::event_kind::network_ended)->error == ilm::error::network_ended);
  CHECK(a.connected_peers().empty());
  auto sent = store_all(w, a, "b", {"3"});
  CHECK(all_stored(sent));
  w.run_for(1s);
  CHECK(work_within(w, 24h) < 20);
  report r = w.run(a.shutdown(1s));
  CHECK(r.undelivered == 1);
  a.restart();
  b.start();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(4));
}

TEST_CASE("a network that ends ends the sessions at once") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  w.run((*a).connected("b"));
  CHECK(a.statistics_of("b").connected);
  w.net.end("a");
  w.run_for(1ms);
  CHECK(a.connected_peers().empty());
  CHECK_FALSE(a.statistics_of("b").connected);
  CHECK(a.count(ilm::event_kind::peer_disconnected) == 1);
}

TEST_CASE("a backlog of deliveries leaves others their turn") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  bool ready = false;
  a.app().check = [&](const message&) {
    if (!ready) throw std::runtime_error("not yet");
  };
  a.start();
  b.start();
  store_all(w, b, "a", numbered(500));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 500; }));
  ready = true;
  std::size_t before = 0, most = 0;
  REQUIRE(w.until([&] {
    most = std::max(most, a.app().consumed.size() - before);
    before = a.app().consumed.size();
    return before == 500;
  }));
  CHECK(most > 1);
  CHECK(most <= 64);
}
