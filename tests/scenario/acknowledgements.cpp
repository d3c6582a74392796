#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

using namespace test;

// The effect of acknowledgements and repetitions on cursors. The other side sends frames by hand.

TEST_CASE("an old acknowledgement never moves a cursor back") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  store_all(w, a, "x", numbered(5));
  w.run_for(10ms);
  REQUIRE(x.data().size() == 5);
  x.put(x.ack_frame(x.ack_of(5)));
  w.run_for(100ms);
  REQUIRE(empty(a));
  for (std::uint64_t old : {4U, 2U, 0U}) x.put(x.ack_frame(x.ack_of(old)));
  w.run_for(4s);
  CHECK(x.data().size() == 5);
  CHECK(a.statistics_of("x").resent == 0);
  CHECK(a.statistics_of("x").outbox_depth == 0);
  CHECK(cursors_of(w, a.disk(), "x").outbox.first == 6);
  CHECK_NOTHROW(w.run(a.wait_delivered("x", 5)));
}

TEST_CASE("received in an ack stops retransmissions, and delivered alone erases") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  store_all(w, a, "x", numbered(3));
  w.run_for(10ms);
  x.put(x.ack_frame(x.ack_of(3, 0)));
  w.run_for(4s);
  CHECK(x.data().size() == 3);
  CHECK(a.disk().size(ilm::queue::outbox) == 3);
  x.put(x.ack_frame(x.ack_of(3)));
  w.run_for(100ms);
  CHECK(empty(a));
}

TEST_CASE("the sender retransmits messages that nobody acknowledges") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  store_all(w, a, "x", {"0"});
  w.run_for(3s);
  CHECK(x.data().size() > 2);
  CHECK(x.data().size() < 10);
  CHECK(a.statistics_of("x").resent + 1 == x.data().size());
}

TEST_CASE("a message that arrives a second before its predecessor is delivered after it") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  bytes_vector first = x.data_frame(1, {"first"});
  x.put(x.data_frame(2, {"second"}));
  w.run_for(1s);
  CHECK(a.app().consumed.empty());
  REQUIRE(x.last_ack());
  CHECK(x.last_ack()->claim.received == 0);
  REQUIRE(x.last_ack()->ranges.size() == 1);
  CHECK(x.last_ack()->ranges[0] == ilm::sequence_range{2, 2});
  x.put(first);
  w.run_for(10ms);
  CHECK(a.app().texts() == std::vector<std::string>{"first", "second"});
  CHECK(x.last_ack()->claim.received == 2);
  // Once x has confirmed a's last stamp, a makes the next, which tells what was delivered.
  for (int i = 0; i < 2; ++i) {
    x.put(x.ack_frame(x.ack_of(0)));
    w.run_for(10ms);
  }
  CHECK(x.last_ack()->claim.delivered == 2);
  CHECK(x.last_ack()->ranges.empty());
}

TEST_CASE("a duplicate is dropped after any number of messages and restarts") {
  world w;
  peer a = w.make("a");
  a.start();
  auto x = std::make_unique<raw_peer>(w, "x", "a");
  REQUIRE(x->open());
  const std::size_t count = 5000;
  for (std::size_t i = 0; i < count; i += 500) {
    std::vector<std::string> part;
    for (std::size_t k = i; k < i + 500; ++k) part.push_back(std::to_string(k));
    x->put(x->data_frame(i + 1, part));
    w.run_for(10ms);
  }
  REQUIRE(a.app().consumed.size() == count);
  for (int round = 0; round < 3; ++round) {
    crash(w, a);
    a.start();
    w.run_for(100ms);
    x->meet();
    REQUIRE(x->open());
    for (std::uint64_t old : {std::uint64_t{1}, std::uint64_t{1001}, std::uint64_t{count}}) {
      x->put(x->data_frame(old, {"again"}));
    }
    w.run_for(1s);
    CHECK(a.statistics_of("x").duplicates_dropped == 3);
    CHECK(a.app().consumed.size() == count);
  }
}

TEST_CASE("a message received out of order is forgotten by a restart, and accepted when sent again",
          "[predecessor]") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  x.data_frame(1, {"first"});
  x.put(x.data_frame(2, {"second"}));
  w.run_for(10ms);
  crash(w, a);
  a.start();
  w.run_for(10ms);
  x.meet();
  REQUIRE(x.open());
  x.put(x.data_frame(1, {"first"}));
  w.run_for(1s);
  CHECK(a.app().texts() == std::vector<std::string>{"first"});
  CHECK(x.last_ack()->claim.received == 1);
  x.put(x.data_frame(2, {"second"}));
  w.run_for(1s);
  CHECK(a.app().texts() == std::vector<std::string>{"first", "second"});
}

TEST_CASE("an acknowledgement never precedes the commit") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  w.run_for(100ms);
  a.store_faults().commit_time = 500ms;
  x.put(x.data_frame(1, {"1"}));
  w.run_for(400ms);
  x.put(x.ping_frame());
  w.run_for(50ms);
  REQUIRE(x.last_ack());
  CHECK(x.last_ack()->claim.received == 0);
  CHECK(a.app().consumed.empty());
  w.run_for(100ms);
  CHECK(x.last_ack()->claim.received == 1);
  CHECK(a.app().consumed.size() == 1);
}

TEST_CASE(
    "the receiver neither acknowledges nor delivers a message that its store refused, until it is "
    "stored") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  w.run_for(100ms);
  a.store_faults().commit_error = std::make_error_code(std::errc::no_space_on_device);
  x.put(x.data_frame(1, {"1", "2"}));
  w.run_for(1s);
  x.put(x.ping_frame());
  w.run_for(10ms);
  CHECK(x.last_ack()->claim.received == 0);
  CHECK(a.app().consumed.empty());
  a.store_faults().commit_error = {};
  w.run_for(3s);
  CHECK(x.last_ack()->claim.received == 2);
  CHECK(a.app().texts() == std::vector<std::string>{"1", "2"});
}

TEST_CASE("a frame of an earlier session is dropped and counted") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  bytes_vector old_data = x.data_frame(1, {"from an old process"});
  bytes_vector old_ack = x.ack_frame(x.ack_of(0));
  bytes_vector old_ping = x.ping_frame();
  x.meet();
  REQUIRE(x.open());
  w.run_for(100ms);
  std::uint64_t before = a.statistics_of("x").frames_stale;
  for (const bytes_vector& f : {old_data, old_ack, old_ping}) x.put(f);
  w.run_for(1s);
  CHECK(a.statistics_of("x").frames_stale == before + 3);
  CHECK(a.app().consumed.empty());
  x.put(x.data_frame(1, {"from this process"}));
  w.run_for(1s);
  CHECK(a.app().texts() == std::vector<std::string>{"from this process"});
}

TEST_CASE("a late or repeated hello neither ends a session nor moves a cursor") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  bytes_vector first_hello = x.hello_frame(x.theirs.nonce, true);
  x.meet();
  REQUIRE(x.open());
  x.put(x.data_frame(1, {"1"}));
  w.run_for(100ms);
  for (int i = 0; i < 5; ++i) {
    x.put(first_hello);
    w.run_for(50ms);
  }
  x.put(x.data_frame(2, {"2"}));
  w.run_for(100ms);
  CHECK(a.app().texts() == std::vector<std::string>{"1", "2"});
  CHECK(a.count(ilm::event_kind::peer_disconnected) == 0);
  CHECK(a.count(ilm::event_kind::peer_rolled_back) == 0);
  CHECK(cursors_of(w, a.disk(), "x").inbox.received() == 2);
}
