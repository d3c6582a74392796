#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

using namespace test;

// A store that fails, fills up, or has somebody else in it.

namespace {

const std::error_code disk_full = std::make_error_code(std::errc::no_space_on_device);

}  // namespace

TEST_CASE("a message that cannot be read is named in each queue, though both fail alike") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().check = [](const message&) { throw std::runtime_error("not now"); };
  a.start();
  b.start();
  REQUIRE(all_stored(store_all(w, b, "a", {"in"})));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 1; }));
  crash(w, b);
  REQUIRE(all_stored(store_all(w, a, "b", {"out"})));
  crash(w, a);
  a.store_faults().read_error = ilm::error::store_corrupt;
  a.start();
  a.watch();
  b.start();
  w.run_for(10s);
  int outbound = 0, inbound = 0;
  for (const event& e : a.events()) {
    if (e.kind != ilm::event_kind::store_failed) continue;
    outbound += e.outbound == ilm::sequence_range{1, 1} ? 1 : 0;
    inbound += e.inbound == ilm::sequence_range{1, 1} ? 1 : 0;
  }
  CHECK(outbound == 1);
  CHECK(inbound == 1);
}

TEST_CASE("sends fail with the store's error and work again once the store does", "[predecessor]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  auto first = store_all(w, a, "b", {"0"});
  CHECK(all_stored(first));
  a.store_faults().commit_error = disk_full;
  for (const auto& s : store_all(w, a, "b", {"lost", "lost too"})) {
    CHECK(s->done);
    CHECK(s->error == disk_full);
  }
  w.run_for(10s);
  REQUIRE(a.count(ilm::event_kind::store_failed) == 1);
  CHECK(a.find(ilm::event_kind::store_failed)->error == disk_full);
  CHECK(a.count(ilm::event_kind::store_recovered) == 0);
  CHECK(a.statistics().commits_failed > 0);
  a.store_faults().commit_error = {};
  auto again = store_all(w, a, "b", {"1"});
  REQUIRE(all_stored(again));
  CHECK(again[0]->sequence == 2);
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 2; }));
  CHECK(b.app().texts() == numbered(2));
  CHECK(a.count(ilm::event_kind::store_recovered) == 1);
}

TEST_CASE("a full disk at the receiver holds the stream and then lets it go on") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  b.store_faults().commit_error = disk_full;
  store_all(w, a, "b", {"1", "2"});
  w.run_for(5min);
  CHECK(b.app().texts() == numbered(1));
  CHECK(a.disk().size(ilm::queue::outbox) == 2);
  b.store_faults().commit_error = {};
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(3));
}

TEST_CASE("a failing store is tried with growing patience, not in a spin") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  b.store_faults().commit_error = disk_full;
  store_all(w, a, "b", {"1"});
  std::uint64_t before = b.store_faults().commits;
  w.run_for(1min);
  CHECK(b.store_faults().commits - before < 60);
  CHECK(b.store_faults().commits - before > 5);
}

TEST_CASE("a failing store and a slow one leave the messenger idle meanwhile") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  for (peer* p : {&a, &b, &c}) p->start();
  for (peer* to : {&b, &c}) store_all(w, a, to->name(), {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  b.store_faults().commit_error = disk_full;
  store_all(w, a, "b", {"1"});
  CHECK(work_within(w, 1min) < 5000);
  b.store_faults().commit_error = {};
  REQUIRE(w.until([&] { return empty(a); }));

  a.store_faults().commit_time = 20s;
  auto slow = send_all(a, "b", {"2"});
  w.run_for(1ms);
  send_all(a, "c", {"1"});
  send_all(c, "a", {"0"});
  CHECK(work_within(w, 1min) < 2000);
  REQUIRE(w.until([&] { return empty(a) && empty(c); }, 10min));
  CHECK(b.app().texts() == numbered(3));
  CHECK(c.app().texts() == numbered(2));
}

TEST_CASE("a store that cannot be opened is reported, and tried again") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.store_faults().open_error = std::make_error_code(std::errc::permission_denied);
  a.start();
  a.watch();
  auto failed = store_all(w, a, "b", {"no"});
  CHECK(failed[0]->error == std::errc::permission_denied);
  w.run_for(10s);
  CHECK(a.count(ilm::event_kind::store_failed) == 1);
  a.store_faults().open_error = {};
  w.run_for(3s);
  CHECK(a.count(ilm::event_kind::store_recovered) == 1);
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("a store that another messenger has open is refused, with an event") {
  world w;
  fabric elsewhere;
  peer a = w.make("a"), second(w.context, elsewhere, "a");
  a.start();
  w.run_for(10ms);
  second.disk() = a.disk();
  second.start();
  second.watch();
  w.run_for(10ms);
  auto refused = store_all(w, second, "b", {"no"});
  CHECK(refused[0]->error == ilm::error::store_in_use);
  REQUIRE(second.count(ilm::event_kind::store_failed) == 1);
  CHECK(second.find(ilm::event_kind::store_failed)->error == ilm::error::store_in_use);
  CHECK(all_stored(store_all(w, a, "b", {"yes"})));
  a.crash();
  w.run_for(3s);
  CHECK(second.count(ilm::event_kind::store_recovered) == 1);
}

TEST_CASE("a stored message that fails its check is named once and holds the stream") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  store_all(w, a, "b", numbered(10));
  a.watch();
  a.store_faults().read_error = ilm::error::store_corrupt;
  b.start();
  w.run_for(10s);
  CHECK(b.app().consumed.empty());
  REQUIRE(a.count(ilm::event_kind::store_failed) == 1);
  CHECK(a.find(ilm::event_kind::store_failed)->error == ilm::error::store_corrupt);
  CHECK(a.find(ilm::event_kind::store_failed)->outbound == ilm::sequence_range{1, 1});
  CHECK(a.store_faults().reads < 30);
  a.store_faults().read_error = {};
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(10));
}

TEST_CASE(
    "a stored message that waits for delivery since an earlier process is named once as well") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().check = [](const message& m) {
    if (m.sequence > 1) throw std::runtime_error("not now");
  };
  store_all(w, a, "b", numbered(3));
  w.run_for(10s);
  b.crash();
  b.app().check = {};
  b.start();
  b.watch();
  b.store_faults().read_error = ilm::error::store_corrupt;
  w.run_for(10s);
  REQUIRE(b.count(ilm::event_kind::store_failed) == 1);
  CHECK(b.find(ilm::event_kind::store_failed)->inbound == ilm::sequence_range{2, 2});
  CHECK(b.app().texts() == numbered(1));
  b.store_faults().read_error = {};
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(3));
}

TEST_CASE("sends gather in one commit while the store is busy with another") {
  world w;
  peer a = w.make("a");
  a.start();
  w.run_for(10ms);
  a.store_faults().commit_time = 10ms;
  std::uint64_t before = a.store_faults().commits;
  sends all;
  for (int i = 0; i < 100; ++i) {
    for (int k = 0; k < 50; ++k) all.push_back(a.send("b", "x"));
    w.run_for(1ms);
  }
  w.run_for(50ms);
  CHECK(all_stored(all));
  CHECK(a.disk().size(ilm::queue::outbox) == 5000);
  CHECK(a.store_faults().commits - before <= 15);
}

TEST_CASE("group commit holds at the receiver too") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.store_faults().commit_time = 5ms;
  a.start();
  b.start();
  for (int i = 0; i < 1000; ++i) {
    a.send("b", std::to_string(i));
    w.run_for(100us);
  }
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1000 && empty(a); }));
  CHECK(b.store_faults().commits < 100);
  CHECK(b.app().texts() == numbered(1000));
}

TEST_CASE("a failed commit takes no sequence and leaves no gap") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  std::vector<std::string> stored;
  std::uint64_t last = 0;
  for (int i = 0; i < 40; ++i) {
    a.store_faults().commit_error = i % 3 == 1 ? disk_full : std::error_code();
    auto s = a.send("b", std::to_string(i));
    REQUIRE(w.until([&] { return s->done; }));
    if (s->error) continue;
    CHECK(s->sequence == last + 1);
    last = s->sequence;
    stored.push_back(std::to_string(i));
  }
  a.store_faults().commit_error = {};
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == stored.size(); }));
  CHECK(b.app().texts() == stored);
}

TEST_CASE("a commit that throws an error of value 0 has failed") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  REQUIRE(all_stored(store_all(w, a, "b", {"0"})));
  a.store_faults().watch = [](ilm::testing::store_faults::operation o, bool after) {
    bool commits = o == ilm::testing::store_faults::operation::commit;
    if (commits && !after) throw std::system_error(std::error_code());
  };
  auto lost = store_all(w, a, "b", {"lost"});
  CHECK(lost[0]->done);
  CHECK(lost[0]->error == ilm::error::exception_without_code);
  CHECK(lost[0]->error != std::errc::io_error);
  REQUIRE(a.count(ilm::event_kind::store_failed) == 1);
  const event* failed = a.find(ilm::event_kind::store_failed);
  CHECK(failed->error == ilm::error::exception_without_code);
  CHECK(failed->text.starts_with("a std::system_error whose code is 0"));
  a.store_faults().watch = {};
  CHECK(a.disk().size(ilm::queue::outbox) == 1);
}

TEST_CASE("a backlog is read and sent during a slow commit") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run((*a).connected("b"));
  w.run_for(1s);
  w.net.disconnect("a", "b");
  REQUIRE(all_stored(store_all(w, a, "b", numbered(20))));
  a.crash();
  a.start();
  w.run_for(1s);
  a.store_faults().commit_time = 1h;
  auto slow = a.send("b", "slow");
  w.run_for(1s);
  w.net.connect("a", "b");
  w.run_for(10s);
  CHECK_FALSE(slow->done);
  CHECK(b.app().texts() == numbered(20));
}

TEST_CASE("sends that wait for room end although every commit fails") {
  world w;
  peer a = w.make("a");
  ilm::options o;
  o.uncommitted_messages = 2;
  a.start(o);
  w.run_for(1s);
  a.store_faults().commit_error = disk_full;
  for (const auto& s : store_all(w, a, "b", numbered(10))) CHECK(s->error == disk_full);
}

TEST_CASE("frames that wait for more messages do not wait for a slow commit") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run((*a).connected("b"));
  w.run_for(1s);
  auto first = a.send("b", "0");
  REQUIRE(w.until([&] { return first->done; }));
  a.store_faults().commit_time = 1min;
  a.send("b", "1");
  w.run_for(1s);
  CHECK(b.app().texts() == numbered(1));
}

TEST_CASE("a store that cannot be opened is tried with growing patience") {
  world w;
  peer a = w.make("a");
  int opened = 0;
  a.store_faults().open_error = std::make_error_code(std::errc::permission_denied);
  a.store_faults().watch = [&](ilm::testing::store_faults::operation o, bool) {
    opened += o == ilm::testing::store_faults::operation::open ? 1 : 0;
  };
  a.start();
  w.run_for(1min);
  CHECK(opened > 10);
  CHECK(opened < 60);
  // A send fails with the error of the last attempt, and does not wait for the next one.
  auto refused = a.send("b", "no");
  w.run_for(0s);
  CHECK(refused->done);
  CHECK(refused->error == std::errc::permission_denied);
}

TEST_CASE("try_send_to fails with would_block while the store opens") {
  world w;
  peer a = w.make("a");
  a.store_faults().open_time = 1h;
  a.start();
  auto refused = a.try_send("b", "0");
  auto waiting = a.send("b", "1");
  w.run_for(1s);
  CHECK(refused->error == ilm::error::would_block);
  CHECK_FALSE(waiting->done);
}

TEST_CASE("a backlog of either queue flows as soon as it is read") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.app().check = [](const message&) { throw std::runtime_error("not now"); };
  a.start();
  b.start();
  store_all(w, b, "a", numbered(20));
  REQUIRE(w.until([&] { return a.disk().size(ilm::queue::inbox) == 20; }));
  crash(w, b);
  REQUIRE(all_stored(store_all(w, a, "b", numbered(20))));
  crash(w, a);
  a.app().check = {};
  a.store_faults().read_time = 5ms;
  b.start();
  w.run_for(1s);
  a.start();
  w.run_for(50ms);
  CHECK(a.app().texts() == numbered(20));
  CHECK(b.app().texts() == numbered(20));
}

TEST_CASE("a store that could not be opened for a day is tried again as soon as before",
          "[volume]") {
  world w;
  peer a = w.make("a");
  a.store_faults().open_error = std::make_error_code(std::errc::permission_denied);
  a.start();
  w.run_for(24h);
  a.store_faults().open_error = {};
  w.run_for(ilm::options().maximum_store_retry);
  CHECK(all_stored(store_all(w, a, "b", {"0"})));
}
