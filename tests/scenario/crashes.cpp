#include "support/as_size.hpp"
#include "support/catch.hpp"
#include "support/steps.hpp"

#include <utility>

using namespace test;

// A messenger that is destroyed, and its successor. tests/crash_points crashes
// two of them at every point there is.

TEST_CASE("a crash after the application took a message repeats that one alone, if any") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  bool crashed = false;
  b.app().check = [&](const message& m) {
    if (m.text() == "5" && !std::exchange(crashed, true)) b.crash();
  };
  send_all(a, "b", numbered(10));
  w.run_for(1s);
  CHECK_FALSE(b.running());
  std::uint64_t recorded = cursors_of(w, b.disk(), "a").inbox.delivered();
  std::size_t consumed = b.app().consumed.size();
  REQUIRE(recorded <= consumed);
  b.start();
  REQUIRE(w.until([&] { return empty(a); }));
  std::vector<std::string> expected = numbered(consumed);
  for (std::size_t i = as_size(recorded); i < 10; ++i) expected.push_back(std::to_string(i));
  CHECK(b.app().texts() == expected);
}

TEST_CASE("destroying a messenger ends it at once, and the store is free for the next") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().time = 10ms;
  store_all(w, a, "b", numbered(20));
  w.run_for(55ms);
  std::size_t consumed = b.app().consumed.size();
  REQUIRE(consumed > 2);
  REQUIRE(consumed < 10);
  crash(w, b);
  CHECK_NOTHROW(w.run(open_store(b.disk())));
  w.run_for(1min);
  CHECK(b.app().consumed.size() <= consumed + 1);
  CHECK(a.connected_peers().empty());
}

TEST_CASE("a messenger that another one is assigned to ends, and that one goes on in its place") {
  world w;
  peer a = w.make("a");
  a.start();
  auto ignore = [](const message&) {};
  ilm::messenger first(w.context, store(), w.net.join("first"), ignore);
  ilm::messenger second(w.context, store(), w.net.join("second"), ignore);
  REQUIRE(w.until([&] { return a.connected_peers().size() == 2; }));
  first = std::move(second);
  w.run_for(1s);
  CHECK(a.connected_peers() == std::vector<std::string>{"second"});
  std::error_code failed = ilm::error::send_to_self;
  first.send_to("a", "hello", [&](std::error_code e, std::uint64_t) { failed = e; });
  CHECK(w.until([&] { return a.app().texts() == std::vector<std::string>{"hello"}; }));
  CHECK_FALSE(failed);
}

TEST_CASE("a messenger that was destroyed does not receive beside its successor") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  for (int i = 0; i < 50; ++i) {
    store_all(w, a, "b", {std::to_string(i)});
    if (i % 5 == 4) {
      w.run_for(50ms);
      b.restart();
    }
  }
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(50));
}

TEST_CASE("a send that was with the store when the messenger went is stored or not, never half") {
  for (auto wait : {0ms, 1ms, 2ms, 3ms, 5ms}) {
    world w;
    peer a = w.make("a"), b = w.make("b");
    a.store_faults().commit_time = 2ms;
    a.start();
    b.start();
    w.run_for(10ms);
    auto sent = send_all(a, "b", numbered(5));
    w.run_for(wait);
    crash(w, a);
    w.run_for(10ms);
    CHECK(all_done(sent));
    std::size_t stored = a.disk().size(ilm::queue::outbox) + b.app().consumed.size();
    for (const auto& s : sent) {
      if (s->error) {
        CHECK(s->error == asio::error::operation_aborted);
      } else {
        CHECK(stored > 0);
      }
    }
    a.start();
    w.run_for(1s);
    CHECK(empty(a));
    if (!sent[0]->error || !b.app().consumed.empty()) CHECK(b.app().texts() == numbered(5));
  }
}
