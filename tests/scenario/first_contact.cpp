#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/reconcile.hpp>

using namespace test;

// Peers that meet for the first time, and plain traffic.

TEST_CASE("three peers send to each other, all to all", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  for (peer* from : {&a, &b, &c}) {
    for (peer* to : {&a, &b, &c}) {
      if (from != to) send_all(*from, to->name(), numbered(10, from->name() + to->name()));
    }
  }
  REQUIRE(w.until([&] {
    return a.app().consumed.size() == 20 && b.app().consumed.size() == 20 &&
           c.app().consumed.size() == 20;
  }));
  CHECK(a.app().texts_from("b") == numbered(10, "ba"));
  CHECK(a.app().texts_from("c") == numbered(10, "ca"));
  CHECK(b.app().texts_from("a") == numbered(10, "ab"));
  CHECK(b.app().texts_from("c") == numbered(10, "cb"));
  CHECK(c.app().texts_from("a") == numbered(10, "ac"));
  CHECK(c.app().texts_from("b") == numbered(10, "bc"));
}

TEST_CASE("a message to oneself is refused and leaves no trace", "[predecessor]") {
  world w;
  peer a = w.make("a");
  a.start();
  auto to_self = a.send("a", "hello me");
  REQUIRE(w.until([&] { return to_self->done; }));
  CHECK(to_self->error == ilm::error::send_to_self);
  w.run_for(1s);
  CHECK(a.app().consumed.empty());
  CHECK(a.disk().size(ilm::queue::outbox) == 0);
}

TEST_CASE("acknowledgements clear the outbox", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(50));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::outbox) == 50; }));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(50));
  CHECK(a.statistics_of("b").outbox_depth == 0);
  CHECK(a.statistics_of("b").delivered == 50);
}

TEST_CASE("messages arrive in the order of the sends", "[predecessor]") {
  world w;
  ilm::faults rules;
  rules.reordering = 0.5;
  w.net.set_faults(rules);
  peer a = w.make("a"), b = w.make("b");
  ilm::options one_a_frame;
  one_a_frame.frame_fill = 1;
  a.start(one_a_frame);
  b.start();
  auto sent = send_all(a, "b", numbered(500));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 500; }));
  CHECK(b.app().texts() == numbered(500));
  CHECK(w.net.counts().reordered > 100);
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CHECK(sent[i]->sequence == i + 1);
    CHECK(b.app().consumed[i].sequence == i + 1);
  }
}

TEST_CASE("255 messages arrive, and one more", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(255));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 255; }));
  a.send("b", "255");
  REQUIRE(w.until([&] { return b.app().consumed.size() == 256; }));
  CHECK(b.app().texts() == numbered(256));
}

TEST_CASE("a message to an unknown peer is kept until the peer appears", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  auto sent = a.send("b", "for later");
  REQUIRE(w.until([&] { return sent->done; }));
  CHECK_FALSE(sent->error);
  w.run_for(24h);
  CHECK(a.disk().size(ilm::queue::outbox) == 1);
  b.start();
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 1; }));
  CHECK(b.app().consumed[0].text() == "for later");
}

TEST_CASE("a duplicate is dropped", "[predecessor]") {
  world w;
  ilm::faults rules;
  rules.repetition = 1;
  w.net.set_faults(rules);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  for (int i = 0; i < 20; ++i) {
    a.send("b", std::to_string(i));
    w.run_for(100ms);
  }
  CHECK(b.app().texts() == numbered(20));
  CHECK(b.statistics_of("a").duplicates_dropped >= 20);
}

TEST_CASE("two peers send to each other at the same time", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(200, "a"));
  send_all(b, "a", numbered(200, "b"));
  REQUIRE(w.until([&] { return empty(a) && empty(b) && a.app().consumed.size() == 200; }));
  CHECK(a.app().texts() == numbered(200, "b"));
  CHECK(b.app().texts() == numbered(200, "a"));
}

TEST_CASE("two peers send to each other under stress, over a bad network", "[predecessor]") {
  world w(7);
  ilm::faults rules;
  rules.loss = 0.1;
  rules.repetition = 0.1;
  rules.reordering = 0.2;
  rules.corruption = 0.05;
  rules.delay = 5ms;
  w.net.set_faults(rules);
  peer a = w.make("a"), b = w.make("b");
  ilm::options small_frames;
  small_frames.frame_fill = 100;
  a.start(small_frames);
  b.start(small_frames);
  for (int round = 0; round < 20; ++round) {
    send_all(a, "b", numbered(100, std::to_string(round) + "a"));
    send_all(b, "a", numbered(100, std::to_string(round) + "b"));
    w.run_for(20ms);
  }
  REQUIRE(w.until(
      [&] {
        return a.app().consumed.size() >= 2000 && b.app().consumed.size() >= 2000 && empty(a) &&
               empty(b);
      },
      10min));
  std::vector<std::string> expected_a, expected_b;
  for (int round = 0; round < 20; ++round) {
    expected_a = expected_a + numbered(100, std::to_string(round) + "b");
    expected_b = expected_b + numbered(100, std::to_string(round) + "a");
  }
  CHECK(a.app().texts() == expected_a);
  CHECK(b.app().texts() == expected_b);
  CHECK(w.net.counts().lost > 0);
  CHECK(w.net.counts().corrupted > 0);
}

TEST_CASE("empty contents are a message like any other", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"", "x", "", ""});
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 4; }));
  CHECK(b.app().texts() == std::vector<std::string>{"", "x", "", ""});
}

TEST_CASE("sequences close to the largest are counted like any others", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::incarnation local{42, 0};
  ilm::cursors late = ilm::protocol::begin_history(local, ilm::bytes("b").view());
  late.outbox.first = late.outbox.next = ilm::protocol::maximum_sequence - 100;
  preset(w, a.disk(), local, "b", late);
  a.start();
  b.start();
  auto sent = send_all(a, "b", numbered(50));
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 50; }));
  CHECK(sent.back()->sequence == ilm::protocol::maximum_sequence - 51);

  crash(w, a);
  crash(w, b);
  a.start();
  b.start();
  a.watch();
  b.watch();
  send_all(a, "b", numbered(50, "again"));
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 100; }));
  CHECK(b.app().texts() == numbered(50) + numbered(50, "again"));
  CHECK(b.app().consumed.back().sequence == ilm::protocol::maximum_sequence - 1);
  CHECK(a.count(ilm::event_kind::frame_rejected) == 0);
  CHECK(b.count(ilm::event_kind::frame_rejected) == 0);
}
