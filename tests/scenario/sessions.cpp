#include "support/catch.hpp"
#include "support/steps.hpp"

using namespace test;

// Sessions end and begin; the streams go on.

TEST_CASE("messages sent while the peer is away arrive when it is back", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(5));
  REQUIRE(w.until([&] { return empty(a); }));
  w.run(b.shutdown(1s));
  store_all(w, a, "b", {"5", "6", "7"});
  w.run_for(1h);
  CHECK(b.app().consumed.size() == 5);
  b.restart();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(8));
}

TEST_CASE("sequences go on in the next session", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  auto first = store_all(w, a, "b", numbered(3));
  REQUIRE(w.until([&] { return all_stored(first); }));
  CHECK(first.back()->sequence == 3);
  for (std::uint64_t process = 1; process <= 5; ++process) {
    w.run(a.shutdown(0s));
    a.restart();
    auto next = a.send("b", std::to_string(2 + process));
    REQUIRE(w.until([&] { return next->done; }));
    CHECK(next->sequence == 3 + process);
  }
  b.start();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(8));
}

TEST_CASE("acknowledged messages stay so in the next session", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(100));
  REQUIRE(w.until([&] { return empty(a); }));
  w.run_for(1s);
  crash(w, a);
  crash(w, b);
  CHECK(cursors_of(w, a.disk(), "b").outbox.first == 101);
  CHECK(cursors_of(w, b.disk(), "a").inbox.received() == 100);
  CHECK(cursors_of(w, b.disk(), "a").inbox.delivered() == 100);
  a.store_faults().messages_read = 0;
  a.start();
  b.start();
  w.run_for(10s);
  CHECK(b.app().consumed.size() == 100);
  CHECK(b.statistics_of("a").duplicates_dropped == 0);
  CHECK(a.store_faults().messages_read == 0);
}

TEST_CASE("a receiver that crashed half way goes on with the next message", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().check = [&](const message& m) {
    if (m.text() == "5") throw std::runtime_error("the application is full");
  };
  store_all(w, a, "b", numbered(10));
  w.run_for(1s);
  REQUIRE(b.app().consumed.size() == 5);
  crash(w, b);
  crash(w, a);
  b.app().check = {};
  b.start();
  a.start();
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(10));
}

TEST_CASE("the states of several peers survive a restart side by side", "[predecessor]") {
  world w;
  peer a = w.make("a");
  std::vector<peer> others;
  for (const char* name : {"b", "c", "d", "e"}) others.push_back(w.make(name));
  a.start();
  for (std::size_t i = 0; i < others.size(); ++i) {
    others[i].start();
    store_all(w, a, others[i].name(), numbered(i + 1));
    store_all(w, others[i], "a", numbered(i + 1));
  }
  REQUIRE(w.until([&] { return empty(a); }));
  w.run_for(1s);
  crash(w, a);
  for (std::size_t i = 0; i < others.size(); ++i) {
    ilm::cursors c = cursors_of(w, a.disk(), others[i].name());
    CHECK(c.outbox.next == i + 2);
    CHECK(c.inbox.received() == i + 1);
    CHECK(c.inbox.delivered() == i + 1);
  }
  a.start();
  for (peer& p : others) store_all(w, a, p.name(), {"after"});
  REQUIRE(w.until([&] { return empty(a); }));
  for (std::size_t i = 0; i < others.size(); ++i) {
    CHECK(others[i].app().texts() == numbered(i + 1) + std::vector<std::string>{"after"});
    CHECK(a.app().texts_from(others[i].name()) == numbered(i + 1));
  }
}

TEST_CASE("messages in flight when the session ended are sent again", "[predecessor]") {
  world w;
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  store_all(w, a, "b", numbered(20));
  w.run_for(30ms);
  CHECK(a.statistics_of("b").in_flight == 20);
  w.net.disconnect("a", "b");
  w.run_for(1s);
  CHECK(b.app().consumed.empty());
  CHECK(a.statistics_of("b").in_flight == 0);
  auto before = clock::now();
  w.net.connect("a", "b");
  REQUIRE(w.until([&] { return b.app().consumed.size() == 20; }));
  // One round trip for the hellos, and half of one for the messages.
  CHECK(clock::now() - before <= 210ms);
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(20));
}

TEST_CASE("messages queue while the peers are disconnected", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.net.disconnect("a", "b");
  auto sent = store_all(w, a, "b", numbered(50));
  auto back = store_all(w, b, "a", numbered(50));
  w.run_for(1h);
  CHECK(all_stored(sent));
  CHECK(all_stored(back));
  CHECK(a.statistics_of("b").outbox_depth == 50);
  CHECK_FALSE(a.statistics_of("b").connected);
  w.net.connect("a", "b");
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(50));
  CHECK(a.app().texts() == numbered(50));
}

TEST_CASE("two peers agree again after everything was lost for a while", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(3));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 3; }));
  w.net.block("a", "b");
  w.net.block("b", "a");
  store_all(w, a, "b", {"3", "4"});
  w.run_for(5min);
  CHECK(b.app().consumed.size() == 3);
  w.net.unblock("a", "b");
  w.net.unblock("b", "a");
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(5));
}

TEST_CASE("a resume acts as an acknowledgement: nothing is sent again", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.net.block("b", "a");
  store_all(w, a, "b", numbered(10));
  w.run_for(15ms);
  REQUIRE(b.app().consumed.size() == 10);
  REQUIRE(a.disk().size(ilm::queue::outbox) == 10);
  w.net.disconnect("a", "b");
  w.run_for(1s);
  w.net.unblock("b", "a");
  w.net.connect("a", "b");
  REQUIRE(w.until([&] { return empty(a); }, 2s));
  CHECK(b.app().texts() == numbered(10));
  CHECK(b.statistics_of("a").duplicates_dropped == 0);
  CHECK(a.statistics_of("b").resent == 0);
}
