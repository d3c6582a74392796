#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

using namespace test;

TEST_CASE("a stopped peer accepts nothing, and sends fail", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return b.connected_peers().size() == 1; }));
  w.run(b.shutdown(0s));
  auto to_b = a.send("b", "too late");
  auto to_a = b.send("a", "refused");
  w.run_for(10s);
  CHECK(b.app().consumed.empty());
  CHECK(a.app().consumed.empty());
  CHECK_FALSE(to_b->error);
  REQUIRE(to_a->done);
  CHECK(to_a->error == ilm::error::shut_down);
  b.restart();
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1; }));
}

TEST_CASE("a graceful shutdown drains the outboxes of connected peers", "[predecessor]") {
  world w;
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b"), absent = w.make("absent");
  a.start();
  b.start();
  auto sent = send_all(a, "b", numbered(100));
  send_all(a, "absent", numbered(3));
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  report r = w.run(a.shutdown(10s));
  CHECK(all_stored(sent));
  CHECK(b.app().texts() == numbered(100));
  CHECK(r.delivered == 100);
  CHECK(r.undelivered == 3);
  CHECK_FALSE(r.complete());
  REQUIRE(r.peers.size() == 2);
  CHECK(r.peers[0].peer == "absent");
  CHECK(r.peers[0].undelivered == 3);
  CHECK(r.peers[1].peer == "b");
  CHECK(r.peers[1].delivered == 100);
}

TEST_CASE("a shutdown waits for a peer whose session is opening") {
  world w;
  ilm::faults slow;
  slow.delay = 200ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  store_all(w, a, "b", numbered(3));
  b.start();
  w.run_for(50ms);
  REQUIRE(a.connected_peers().empty());
  report r = w.run(a.shutdown(10s));
  CHECK(r.delivered == 3);
  CHECK(b.app().texts() == numbered(3));
}

TEST_CASE("a shutdown's deadline is the end of a search for what the store takes") {
  world w;
  peer a = w.make("a");
  a.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 100ms;
  a.store_faults().refuse = [](const auto&) {
    return std::make_error_code(std::errc::file_too_large);
  };
  for (const std::string& name : numbered(64)) a.send(name, "x");
  auto start = clock::now();
  w.run(a.shutdown(250ms));
  CHECK(clock::now() - start < 900ms);
}

TEST_CASE("a shutdown ends with its timeout and reports the messages left", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  b.app().time = 1h;
  send_all(a, "b", numbered(10));
  w.run_for(100ms);
  auto before = clock::now();
  report r = w.run(a.shutdown(3s));
  CHECK(clock::now() - before >= 3s);
  CHECK(clock::now() - before < 4s);
  CHECK(r.delivered == 0);
  CHECK(r.undelivered == 10);
  CHECK(a.disk().size(ilm::queue::outbox) == 10);
}

TEST_CASE("a shutdown does not wait for a peer that has no session") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  crash(w, b);
  store_all(w, a, "b", {"1"});
  store_all(w, a, "nobody", {"0"});
  w.run_for(1s);
  auto before = clock::now();
  report r = w.run(a.shutdown(10s));
  CHECK(clock::now() - before < 1s);
  CHECK(r.undelivered == 2);
}

TEST_CASE("a shutdown waits for a slow store without spinning") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(10));
  REQUIRE(w.until([&] { return a.statistics_of("b").delivered > 0; }));
  // The confirmation is to be stored, by a batch that takes longer than the calls of the delivery
  // are given to end.
  a.store_faults().commit_time = 1s;
  auto ended = std::make_shared<bool>(false);
  asio::co_spawn(w.context, a.shutdown(5s),
                 [ended](std::exception_ptr, const report&) { *ended = true; });
  int steps = 0;
  REQUIRE(w.until([&] { return *ended || ++steps == 5000; }, 10s));
  CHECK(*ended);
  CHECK(a.disk().size(ilm::queue::outbox) == 0);
}

TEST_CASE("messages that arrive during the last commit of a shutdown are not counted as unread") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(10));
  REQUIRE(w.until([&] { return a.statistics_of("b").delivered > 0; }));
  a.store_faults().commit_time = 1s;
  auto result = std::make_shared<std::optional<report>>();
  asio::co_spawn(w.context, a.shutdown(0s),
                 [result](std::exception_ptr, const report& r) { *result = r; });
  w.run_for(500ms);
  b.send("a", "too late to be stored");
  REQUIRE(w.until([&] { return result->has_value(); }, 10s));
  CHECK((*result)->unread == 0);
  CHECK(a.disk().size(ilm::queue::inbox) == 0);
  CHECK(b.disk().size(ilm::queue::outbox) == 1);
}

TEST_CASE("a second shutdown after a timed-out one reports the same") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  b.app().time = 1h;
  send_all(a, "b", numbered(10));
  w.run_for(100ms);
  report first = w.run(a.shutdown(1s));
  report second = w.run(a.shutdown(1s));
  CHECK(first.undelivered == 10);
  CHECK(second.undelivered == 10);
  CHECK_FALSE(second.complete());
  auto refused = a.send("b", "no");
  REQUIRE(w.until([&] { return refused->done; }));
  CHECK(refused->error == ilm::error::shut_down);
}

TEST_CASE("sends fail from the moment when a shutdown began") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  b.app().time = 1h;
  send_all(a, "b", numbered(3));
  w.run_for(100ms);
  auto ended = std::make_shared<bool>(false);
  asio::co_spawn(w.context, a.shutdown(5s),
                 [ended](std::exception_ptr, const report&) { *ended = true; });
  w.run_for(1s);
  auto refused = a.send("b", "during the shutdown");
  w.run_for(1s);
  CHECK_FALSE(*ended);
  REQUIRE(refused->done);
  CHECK(refused->error == ilm::error::shut_down);
  REQUIRE(w.until([&] { return *ended; }));
  CHECK(a.disk().size(ilm::queue::outbox) == 3);
}

TEST_CASE("a shutdown cleans up: nothing is left to run, and the store is free", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  send_all(a, "b", numbered(10));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 10; }));
  w.run(a.shutdown(5s));
  w.run(b.shutdown(5s));
  CHECK(work_within(w, 1h) < 50);
  CHECK(w.context.stopped());
  CHECK_NOTHROW(w.run(open_store(a.disk())));
  CHECK_NOTHROW(w.run(open_store(b.disk())));
}

TEST_CASE("a shutdown amid sends loses none that succeeded", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.store_faults().commit_time = 3ms;
  ilm::options narrow;
  narrow.uncommitted_messages = 10;
  a.start(narrow);
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  auto sent = send_all(a, "b", numbered(100));
  w.run_for(10ms);
  report r = w.run(a.shutdown(0s));
  sent.push_back(a.send("b", "100"));
  REQUIRE(w.until([&] { return all_done(sent); }));
  std::vector<std::string> stored;
  for (std::size_t i = 0; i < sent.size(); ++i) {
    if (!sent[i]->error) {
      stored.push_back(std::to_string(i));
    } else {
      CHECK(sent[i]->error == ilm::error::shut_down);
    }
  }
  CHECK(stored.size() >= 10);
  CHECK(stored.size() < 100);
  CHECK(r.delivered + r.undelivered == stored.size());
  a.restart();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == stored);
}

TEST_CASE("a shutdown counts the messages that the application has not consumed") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().check = [](const message&) { throw std::runtime_error("not now"); };
  send_all(a, "b", numbered(7));
  REQUIRE(w.until([&] { return b.disk().size(ilm::queue::inbox) == 7; }));
  report r = w.run(b.shutdown(1s));
  CHECK(r.unread == 7);
  CHECK(r.undelivered == 0);
  b.app().check = {};
  b.restart();
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(7));
}

TEST_CASE("several shutdowns at the same time all end") {
  world w;
  peer a = w.make("a");
  a.start();
  int ended = 0;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(w.context, a.shutdown(5s),
                   [&](std::exception_ptr failed, const report&) { ended += failed ? 0 : 1; });
  }
  CHECK(w.until([&] { return ended == 3; }));
}

TEST_CASE("a shutdown of a store that does not open ends, and says why") {
  world w;
  peer a = w.make("a");
  a.store_faults().open_error = std::make_error_code(std::errc::permission_denied);
  a.start();
  auto sent = a.send("b", "x");
  w.run_for(1s);
  CHECK(sent->error == std::errc::permission_denied);
  for (int again = 0; again < 2; ++again) {
    try {
      w.run(a.shutdown(1s));
      FAIL("nothing is known of the outbox, so no shutdown may call it empty");
    } catch (const std::system_error& e) {
      CHECK(e.code() == std::errc::permission_denied);
    }
  }
}

TEST_CASE("a shutdown does not wait beyond its deadline for a store that never opens") {
  world w;
  peer a = w.make("a");
  a.store_faults().open_time = 24h;
  a.start();
  w.run_for(1s);
  auto before = clock::now();
  try {
    w.run(a.shutdown(5s));
    FAIL("nothing is known of the outbox");
  } catch (const std::system_error& e) {
    CHECK(e.code() == std::errc::timed_out);
  }
  CHECK(clock::now() - before == 5s);
}

TEST_CASE("a second shutdown can bring the end forward") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.app().check = [](const message&) { throw std::runtime_error("not now"); };
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  w.run_for(1s);
  int ended = 0;
  auto count = [&ended](std::exception_ptr, const report& r) { ended += r.undelivered == 1; };
  asio::co_spawn(w.context, a.shutdown(1h), count);
  w.run_for(1s);
  CHECK(ended == 0);
  asio::co_spawn(w.context, a.shutdown(1s), count);
  w.run_for(2s);
  CHECK(ended == 2);
}

TEST_CASE("a shutdown waits no longer than it may for a peer whose store went back") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  store_all(w, a, "x", numbered(3));
  REQUIRE(w.until([&] { return x.data().size() == 3; }));
  x.put(x.ack_frame(x.ack_of(2, 0)));
  w.run_for(100ms);
  REQUIRE(x.open());
  // It knows nothing of a any more, and begins no new history, either.
  w.run_for(100ms);
  auto before = test::clock::now();
  CHECK(w.run(a.shutdown(2s)).undelivered == 3);
  CHECK(test::clock::now() - before <= 2s);
}

TEST_CASE(
    "a shutdown begins no delivery where nothing is owed to the peer, and ends the running one") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.app().time = 1s;
  a.start();
  b.start();
  store_all(w, a, "b", numbered(20));
  REQUIRE(w.until([&] { return b.app().consumed.size() == 2; }));
  w.run_for(500ms);
  auto before = test::clock::now();
  report r = w.run(b.shutdown(1h), 2h);
  CHECK(test::clock::now() - before <= 1s);
  CHECK(b.app().texts() == numbered(3));
  CHECK(r.unread == 17);
  CHECK(r.undelivered == 0);
  b.app().time = 0s;
  b.restart();
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(20));
}

TEST_CASE("a shutdown delivers nothing of a peer that it does not wait for") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  b.app().time = 1s;
  a.start();
  b.start();
  c.start();
  REQUIRE(w.until([&] { return b.connected_peers().size() == 2; }));
  c.app().time = 30s;
  store_all(w, b, "c", {"slow"});
  store_all(w, a, "b", numbered(20));
  w.run_for(500ms);
  // c takes its time, and nothing of a is delivered meanwhile.
  report r = w.run(b.shutdown(1h), 2h);
  CHECK(r.delivered == 1);
  CHECK(b.app().texts() == numbered(1));
  CHECK(r.unread == 19);
}

TEST_CASE("two sides that shut down together wait for each other no longer than they need") {
  world w;
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(
      w.until([&] { return a.connected_peers().size() == 1 && b.connected_peers().size() == 1; }));
  auto from_a = send_all(a, "b", numbered(10));
  auto from_b = send_all(b, "a", numbered(10));
  REQUIRE(w.until([&] { return all_stored(from_a) && all_stored(from_b); }));
  auto before = test::clock::now();
  auto ended = std::make_shared<int>(0);
  auto undelivered = std::make_shared<std::uint64_t>(0);
  for (peer* p : {&a, &b}) {
    asio::co_spawn(w.context, p->shutdown(1h), [=](std::exception_ptr, const report& r) {
      ++*ended;
      if (*ended == 1) *undelivered = r.undelivered;
    });
  }
  REQUIRE(w.until([&] { return *ended == 2; }, 2h));
  CHECK(test::clock::now() - before < 2s);
  CHECK(*undelivered == 0);
  a.restart();
  b.restart();
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(a.app().texts() == numbered(10));
  CHECK(b.app().texts() == numbered(10));
}

TEST_CASE("two sides that have consumed what they sent each other begin no more of a backlog") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().time = b.app().time = 1s;
  a.start();
  b.start();
  store_all(w, a, "b", numbered(20));
  store_all(w, b, "a", {"one"});
  w.run_for(500ms);
  // a consumes the one message that b waits for, in the same second.
  report r = w.run(b.shutdown(1h), 2h);
  CHECK(r.delivered == 1);
  CHECK(b.app().consumed.size() <= 2);
  CHECK(r.unread + b.app().consumed.size() == 20);
}

TEST_CASE("a shutdown of less than no time ends at once") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().time = 1h;
  store_all(w, a, "b", {"0"});
  w.run_for(1s);
  auto before = test::clock::now();
  CHECK(w.run(a.shutdown(-1h)).undelivered == 1);
  CHECK(test::clock::now() - before < 1s);
}

TEST_CASE("a shutdown ends the sends that wait for room, and none of them is stored") {
  world w;
  peer a = w.make("a");
  ilm::options narrow;
  narrow.uncommitted_messages = 5;
  a.start(narrow);
  w.run_for(10ms);
  a.store_faults().commit_time = 1s;
  auto sent = send_all(a, "b", numbered(12));
  w.run_for(10ms);
  auto left = std::make_shared<std::optional<report>>();
  asio::co_spawn(w.context, a.shutdown(1h),
                 [left](std::exception_ptr, const report& r) { *left = r; });
  w.run_for(10ms);
  for (std::size_t i = 0; i < sent.size(); ++i) CHECK(sent[i]->done == (i >= 5));
  REQUIRE(w.until([&] { return left->has_value(); }));
  for (std::size_t i = 0; i < sent.size(); ++i) {
    CHECK(sent[i]->error == (i < 5 ? std::error_code() : ilm::error::shut_down));
  }
  CHECK((*left)->undelivered == 5);
}

TEST_CASE("a shutdown waits for a send that is with the store, and for its delivery") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.run_for(1s);
  a.store_faults().commit_time = 1s;
  auto sent = a.send("b", "0");
  w.run_for(10ms);
  report r = w.run(a.shutdown(1h));
  CHECK_FALSE(sent->error);
  CHECK(r.delivered == 1);
  CHECK(r.undelivered == 0);
}

TEST_CASE("a second shutdown brings the end forward where nothing else happens") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().time = 10h;
  store_all(w, a, "b", {"0"});
  w.run_for(1s);
  crash(w, a);
  w.run_for(1min);
  auto ended = std::make_shared<int>(0);
  auto count = [ended](std::exception_ptr, const report&) { ++*ended; };
  asio::co_spawn(w.context, b.shutdown(1h), count);
  w.run_for(1min);
  asio::co_spawn(w.context, b.shutdown(1s), count);
  w.run_for(2s);
  CHECK(*ended == 2);
}

TEST_CASE("a shutdown says bye before the network goes") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  w.run_for(1s);
  CHECK_FALSE(x.said_bye());
  w.run(a.shutdown(1s));
  w.run_for(10ms);
  CHECK(x.said_bye());
}
