#include "support/catch.hpp"
#include "support/steps.hpp"

using namespace test;
using ilm::event_kind;
using ilm::sequence_range;

// An old backup, a cloned machine: a store that went back in time. Both sides are told, the stream
// stands still until the side that went back has begun a new history, and goes on by itself.

namespace {

/// Two peers, and a backup of each store after three messages each way; then three more each way.
struct rollback_scene {
  rollback_scene() : a(w.make("a")), b(w.make("b")) {
    a.start();
    b.start();
    exchange(0);
    backup_a = a.disk().copy();
    backup_b = b.disk().copy();
    exchange(3);
  }

  void exchange(int from) {
    for (int i = from; i < from + 3; ++i) {
      store_all(w, a, "b", {std::to_string(i)});
      store_all(w, b, "a", {std::to_string(i)});
    }
    REQUIRE(w.until([&] { return empty(a) && empty(b); }));
    w.run_for(1s);
  }

  void put_back(peer& p, const store& backup) {
    crash(w, p);
    p.put_back(backup);
    a.events().clear();
    b.events().clear();
    peer& other = &p == &a ? b : a;
    other.watch();
    p.start();
    p.watch();
  }

  world w;
  peer a, b;
  store backup_a, backup_b;
};

}  // namespace

TEST_CASE("a peer that was rolled back begins a new history, and the streams go on") {
  rollback_scene s;
  s.put_back(s.b, s.backup_b);
  s.w.run_for(5s);
  // b's store knows three of each; a knows six of each.
  REQUIRE(s.a.count(event_kind::peer_rolled_back) == 1);
  const event& theirs = *s.a.find(event_kind::peer_rolled_back);
  CHECK(theirs.peer == "b");
  CHECK(theirs.outbound == sequence_range{4, 6});
  CHECK(theirs.inbound == all_from(4));
  REQUIRE(s.b.count(event_kind::rolled_back) == 1);
  const event& own = *s.b.find(event_kind::rolled_back);
  CHECK(own.peer == "a");
  CHECK(own.outbound == all_from(4));
  CHECK(own.inbound == all_from(4));
  CHECK(s.a.count(event_kind::peer_reset) == 0);

  store_all(s.w, s.a, "b", {"a after"});
  store_all(s.w, s.b, "a", {"b after"});
  REQUIRE(s.w.until([&] { return empty(s.a) && empty(s.b); }));
  CHECK(s.b.app().texts() == numbered(6) + std::vector<std::string>{"a after"});
  CHECK(s.a.app().texts() == numbered(6) + std::vector<std::string>{"b after"});
}

TEST_CASE(
    "messages sent from a rolled-back store before the handshake are not confused with old ones") {
  rollback_scene s;
  crash(s.w, s.a);
  s.a.put_back(s.backup_a);
  s.w.net.disconnect("a", "b");
  s.a.start();
  s.a.watch();
  s.b.watch();
  // These get the sequences 4 to 6 for the second time.
  auto again = store_all(s.w, s.a, "b", numbered(3, "other "));
  CHECK(again[0]->sequence == 4);
  s.w.net.connect("a", "b");
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts() == numbered(6) + numbered(3, "other "));
  CHECK(s.a.count(event_kind::rolled_back) == 1);
  CHECK(s.b.count(event_kind::peer_rolled_back) == 1);
  store_all(s.w, s.b, "a", {"after"});
  REQUIRE(s.w.until([&] { return empty(s.b); }));
  CHECK(s.a.app().texts() == numbered(6) + std::vector<std::string>{"after"});
}

TEST_CASE("more messages sent from a rolled-back store than were lost are all delivered") {
  rollback_scene s;
  crash(s.w, s.a);
  s.a.put_back(s.backup_a);
  s.w.net.disconnect("a", "b");
  s.a.start();
  s.a.watch();
  s.b.watch();
  store_all(s.w, s.a, "b", numbered(10, "other "));
  s.w.net.connect("a", "b");
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts() == numbered(6) + numbered(10, "other "));
  CHECK(s.a.count(event_kind::rolled_back) == 1);
}

TEST_CASE(
    "nothing flows to or from a peer that was rolled back before it has stored its new history") {
  rollback_scene s;
  // The rolled-back side cannot store it.
  s.put_back(s.b, s.backup_b);
  s.b.store_faults().commit_error = std::make_error_code(std::errc::no_space_on_device);
  store_all(s.w, s.a, "b", {"held"});
  s.w.run_for(1min);
  CHECK(s.b.app().texts() == numbered(6));
  CHECK(s.a.disk().size(ilm::queue::outbox) == 1);
  CHECK_FALSE(s.a.statistics_of("b").connected);
  s.b.store_faults().commit_error = {};
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts() == numbered(6) + std::vector<std::string>{"held"});
}

TEST_CASE("a roll-back to a state that no peer saw go by is harmless") {
  rollback_scene s;
  // Nothing happened since the copy: it is the same history.
  crash(s.w, s.b);
  store same = s.b.disk().copy();
  s.put_back(s.b, same);
  store_all(s.w, s.a, "b", {"after"});
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.a.count(event_kind::peer_rolled_back) == 0);
  CHECK(s.a.count(event_kind::peer_reset) == 0);
  CHECK(s.b.app().texts() == numbered(6) + std::vector<std::string>{"after"});
}

TEST_CASE("both sides rolled back to the same moment report nothing, for no cursors contradict") {
  rollback_scene s;
  crash(s.w, s.a);
  crash(s.w, s.b);
  s.a.put_back(s.backup_a);
  s.b.put_back(s.backup_b);
  s.a.start();
  s.b.start();
  store_all(s.w, s.a, "b", {"after"});
  store_all(s.w, s.b, "a", {"after"});
  REQUIRE(s.w.until([&] { return empty(s.a) && empty(s.b); }));
  CHECK(s.a.app().texts() == numbered(6) + std::vector<std::string>{"after"});
  CHECK(s.b.app().texts() == numbered(6) + std::vector<std::string>{"after"});
}

TEST_CASE("two clones of one store cannot both go on in its name") {
  rollback_scene s;
  // The clone takes a's place, sends, and then the original does so again.
  crash(s.w, s.a);
  store original = s.a.disk().copy();
  s.put_back(s.a, original.copy());
  store_all(s.w, s.a, "b", numbered(3, "clone "));
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.count(event_kind::peer_rolled_back) == 0);
  s.put_back(s.a, original);
  store_all(s.w, s.a, "b", numbered(2, "original "));
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts() == numbered(6) + numbered(3, "clone ") + numbered(2, "original "));
  CHECK(s.a.count(event_kind::rolled_back) == 1);
  CHECK(s.a.find(event_kind::rolled_back)->outbound.contains(7));
  CHECK(s.a.find(event_kind::rolled_back)->outbound.contains(9));
  CHECK(s.b.count(event_kind::peer_rolled_back) == 1);
  CHECK(s.b.find(event_kind::peer_rolled_back)->inbound == all_from(7));
}

TEST_CASE("a roll-back towards one peer leaves the streams with others alone") {
  rollback_scene s;
  peer c = s.w.make("c");
  c.start();
  store_all(s.w, c, "b", numbered(3));
  REQUIRE(s.w.until([&] { return empty(c); }));
  s.w.run_for(1s);
  store later = s.b.disk().copy();
  s.exchange(6);
  s.put_back(s.b, later);
  c.watch();
  store_all(s.w, c, "b", {"3"});
  store_all(s.w, s.a, "b", {"9"});
  REQUIRE(s.w.until([&] { return empty(c) && empty(s.a); }));
  CHECK(s.b.app().texts_from("c") == numbered(4));
  CHECK(s.b.app().texts_from("a") == numbered(10));
  CHECK(c.count(event_kind::peer_rolled_back) == 0);
  CHECK(c.count(event_kind::peer_reset) == 0);
  CHECK(s.a.count(event_kind::peer_rolled_back) == 1);
}
