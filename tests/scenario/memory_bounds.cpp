#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

using namespace test;

// Memory is bounded by windows, cost by the messages that move: never by the backlog.

TEST_CASE("opening a store reads no messages") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(5000));
  store_all(w, a, "c", numbered(5000));
  crash(w, a);
  a.start();
  auto next = a.send("b", "after");
  REQUIRE(w.until([&] { return next->done; }));
  CHECK(next->sequence == 5001);
  w.run_for(10s);
  CHECK(a.store_faults().reads == 0);
}

TEST_CASE("a hundred thousand messages wait for an absent peer in the store, not in memory",
          "[volume]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  const std::size_t count = 100'000;
  sends all;
  for (std::size_t i = 0; i < count; i += 5000) {
    for (std::size_t k = i; k < i + 5000; ++k) all.push_back(a.send("b", std::to_string(k)));
    w.run_for(10ms);
  }
  REQUIRE(all_stored(all));
  CHECK(a.store_faults().messages_read == 0);
  b.start();
  ilm::testing::store_faults& f = a.store_faults();
  // Only messages that were read and not yet consumed can be in memory.
  std::uint64_t most = 0;
  REQUIRE(w.until([&] {
    most = std::max<std::uint64_t>(most, f.messages_read - b.app().consumed.size());
    return b.app().consumed.size() == count && empty(a);
  }));
  CHECK(most <= 3 * 8192);
  // Each is read once, however long the backlog: no cost that grows with it.
  CHECK(f.messages_read == count);
  CHECK(f.reads <= count / 500);
  CHECK(b.app().texts() == numbered(count));
}

TEST_CASE("hundreds of thousands of messages pass, far beyond any set of ids", "[volume]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  const std::size_t count = 200'000;
  std::size_t sent = 0;
  std::size_t seen = 0;
  while (sent < count) {
    for (std::size_t k = 0; k < 4000; ++k) a.send("b", std::to_string(sent++));
    w.until([&] { return b.app().consumed.size() + 2000 > sent - seen; });
    for (const message& m : b.app().consumed) {
      if (m.sequence != ++seen || m.text() != std::to_string(seen - 1)) FAIL("out of order");
    }
    b.app().consumed.clear();
  }
  w.until([&] { return b.app().consumed.size() == count - seen; });
  CHECK(seen + b.app().consumed.size() == count);
  CHECK(b.app().consumed.back().sequence == count);
}

TEST_CASE("the window bounds the messages in flight when nothing is acknowledged",
          "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options narrow;
  narrow.window_messages = 10;
  a.start(narrow);
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.net.block("b", "a");
  store_all(w, a, "b", numbered(100));
  w.run_for(10s);
  CHECK(a.statistics_of("b").in_flight == 10);
  CHECK(b.app().consumed.size() == 10);
  w.net.unblock("b", "a");
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(100));
}

TEST_CASE("the window in bytes bounds the sender as well") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options narrow;
  narrow.maximum_message_size = 1000;
  narrow.window_bytes = 4500;
  a.start(narrow);
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.net.block("b", "a");
  store_all(w, a, "b", std::vector<std::string>(20, std::string(1000, 'x')));
  w.run_for(10s);
  CHECK(b.app().consumed.size() == 4);
  w.net.unblock("b", "a");
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().consumed.size() == 20);
}

TEST_CASE(
    "credit binds: a receiver holds no more than it granted, and credit comes back from zero") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options little;
  little.credit_messages = 10;
  bool busy = true;
  b.app().check = [&](const message&) {
    if (busy) throw std::runtime_error("busy");
  };
  a.start();
  b.start(little);
  b.watch();
  store_all(w, a, "b", numbered(1000));
  w.run_for(1min);
  CHECK(b.statistics_of("a").inbox_depth == 10);
  CHECK(b.disk().size(ilm::queue::inbox) == 10);
  CHECK(a.statistics_of("b").outbox_depth == 1000);
  busy = false;
  REQUIRE(w.until([&] { return empty(a); }, 10min));
  CHECK(b.app().texts() == numbered(1000));
  CHECK(b.count(ilm::event_kind::frame_rejected) == 0);
}

TEST_CASE("credit in bytes bounds the sender as well") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options little;
  little.maximum_message_size = 1000;
  little.credit_bytes = 3500;
  bool busy = true;
  b.app().check = [&](const message&) {
    if (busy) throw std::runtime_error("busy");
  };
  a.start();
  b.start(little);
  store_all(w, a, "b", std::vector<std::string>(30, std::string(1000, 'x')));
  w.run_for(10s);
  CHECK(b.statistics_of("a").inbox_depth == 3);
  busy = false;
  REQUIRE(w.until([&] { return empty(a); }, 10min));
  CHECK(b.app().consumed.size() == 30);
}

TEST_CASE("the sender learns of credit that came back although the ack that said so was lost") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options little;
  little.credit_messages = 5;
  bool busy = true;
  b.app().check = [&](const message&) {
    if (busy) throw std::runtime_error("busy");
  };
  a.start();
  b.start(little);
  store_all(w, a, "b", numbered(10));
  w.run_for(1s);
  REQUIRE(b.statistics_of("a").inbox_depth == 5);
  w.net.block("b", "a");
  busy = false;
  w.run_for(8s);
  REQUIRE(b.app().consumed.size() == 5);
  w.net.unblock("b", "a");
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(10));
}

TEST_CASE("a reordering peer fills the reorder buffer up to the credit and no further") {
  world w;
  peer a = w.make("a");
  ilm::options little;
  little.credit_messages = 10;
  a.start(little);
  a.watch();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  bytes_vector first = x.data_frame(1, {"first"});
  for (std::uint64_t s = 2; s <= 50; ++s) x.put(x.data_frame(s, {"early"}));
  w.run_for(100ms);
  CHECK(a.count(ilm::event_kind::frame_rejected) == 1);
  CHECK(a.statistics_of("x").frames_rejected == 40);
  x.put(first);
  w.run_for(100ms);
  CHECK(a.app().consumed.size() == 10);
  CHECK(x.last_ack()->claim.received == 10);
}

TEST_CASE("a small page and a small window still move a long backlog") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options small;
  small.page_messages = 3;
  small.page_bytes = 10;
  small.window_messages = 5;
  small.credit_messages = 4;
  a.start(small);
  store_all(w, a, "b", numbered(500));
  b.start(small);
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(500));
}
