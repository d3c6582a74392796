#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <ilm/protocol/reconcile.hpp>

#include <string>
#include <vector>

using namespace test;

// An association that is left out of memory, and made again from the store, goes on as if it had
// been there.

namespace {

using pair = basic_core_pair<association>;

/// Makes the side's association again, as one that was left out of memory.
void leave_and_wake(pair& p, core_side& s) {
  bool down = s->is_down();
  s.crash();
  s.start();
  if (down) s->handle_session_down();
  CHECK(s->deadline() == never);
  CHECK_FALSE(s->has_due_change(p.now));
  CHECK_FALSE(s->poll_page(p.now));
  CHECK_FALSE(s->has_delivery(p.now));
  CHECK(s->reproducible_at() <= p.now);
}

}  // namespace

TEST_CASE("an association is left out of memory again and again, and its streams go on") {
  int left = 0, kept = 0;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    random_source chance(seed);
    options o;
    o.keepalive_interval = 0s;
    pair p(o, seed, seed % 2 == 0);
    p.shuffled = true;
    if (seed % 2 != 0) p.faults.loss = p.faults.repetition = 10;
    std::vector<std::string> to_a, to_b;
    for (int round = 0; round < 30; ++round) {
      p.connect();
      for (std::uint64_t i = chance.below(4); i > 0; --i) {
        p.a.send(to_b.emplace_back(std::to_string(to_b.size())));
      }
      for (std::uint64_t i = chance.below(4); i > 0; --i) {
        p.b.send(to_a.emplace_back(std::to_string(to_a.size())));
      }
      for (std::uint64_t i = chance.below(400); i > 0; --i) p.step();
      p.disconnect(chance.below(2) == 0);
      p.run_for(1s);
      for (core_side* s : {&p.a, &p.b}) {
        bool may = (*s)->reproducible_at() <= p.now;
        ++(may ? left : kept);
        if (may) leave_and_wake(p, *s);
      }
    }
    p.connect();
    REQUIRE(p.settle());
    CHECK(p.a.texts() == to_a);
    CHECK(p.b.texts() == to_b);
    for (core_side* s : {&p.a, &p.b}) {
      for (const event_record& e : s->events) {
        CHECK((e.kind == event_kind::peer_connected || e.kind == event_kind::peer_disconnected));
      }
    }
  }
  CHECK(left > 100);
  CHECK(kept > 100);
}

TEST_CASE("there is work for stored cursors exactly if a new association has some") {
  int idle = 0, busy = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    random_source chance(seed);
    pair p({}, seed);
    p.shuffled = true;
    p.connect();
    for (int round = 0; round < 100; ++round) {
      if (chance.below(3) == 0) p.a.send("x");
      if (chance.below(3) == 0) p.b.send("y");
      for (std::uint64_t i = chance.below(40); i > 0; --i) p.step();
      pair of_store({}, seed);
      of_store.a.disk = p.a.disk;
      of_store.a.start();
      association& made = *of_store.a;
      bool work = made.has_due_change(p.now) || made.outbox_depth() > 0 || made.inbox_depth() > 0;
      CHECK(has_work(p.a.disk.where) == work);
      ++(work ? busy : idle);
    }
  }
  CHECK(idle > 10);
  CHECK(busy > 10);
}

TEST_CASE("an association stays in memory while it remembers more than the store does") {
  pair p;
  p.connect();
  p.a.send("x");
  REQUIRE(p.settle());
  p.run_for(1s);
  CHECK(p.a->reproducible_at() == never);
  p.disconnect();
  p.run_for(1s);
  // It has met the peer: only so many begin anew within a time.
  CHECK(p.a->reproducible_at() > p.now);
  p.run_for(renewal_returns_after);
  CHECK(p.a->reproducible_at() <= p.now);
  SECTION("a message that is not delivered") {
    p.a.send("y");
    CHECK(p.a->reproducible_at() == never);
    p.run_for(1s);
    CHECK(p.a->reproducible_at() == never);
  }
  SECTION("a peer of another protocol, which it was told of") {
    p.b.crash();
    p.b.support = protocol_support{8, 9};
    p.b.start();
    p.connect();
    p.run_for(1s);
    p.disconnect();
    p.run_for(1s);
    REQUIRE(p.a.count(event_kind::peer_incompatible) == 1);
    CHECK(p.a->reproducible_at() == never);
  }
}
