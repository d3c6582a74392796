// Histories of two associations around stores that went back or were lost, step by step.

#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <string>
#include <utility>
#include <vector>

using namespace test;

namespace {

using texts = std::vector<std::string>;

options patient() {
  options o;
  o.keepalive_interval = 0s;
  return o;
}

void send(core_side& s, const texts& all) {
  for (const std::string& text : all) s.send(text);
}

/// A copy of a side's store, and what its application had done by then.
struct backup {
  explicit backup(const core_side& s) : disk(s.disk), consumed(s.consumed), sent(s.sent) {}

  void put_back(core_side& s) const {
    s.disk = disk;
    s.consumed = consumed;
    s.sent = sent;
  }

  model_store disk;
  std::vector<consumed_message> consumed;
  texts sent;
};

/// A pair that has met and exchanged something; then `b` may go back.
struct pair_in_use : core_pair {
  explicit pair_in_use(options o = patient(), std::uint64_t seed = 1, bool reliable = false)
      : core_pair(o, seed, reliable) {
    connect();
    send(a, numbered("a", 3));
    send(b, numbered("b", 3));
    settle_all();
  }

  void settle_all() {
    REQUIRE(settle());
    run_for(1s);
  }
  void put_back(const backup& old, core_side& s, bool seen = true) {
    old.put_back(s);
    crash(s, seen);
  }
  /// All goes on in order, and whatever is sent now arrives.
  void go_on() {
    settle_all();
    a.send("from a");
    b.send("from b");
    settle_all();
    CHECK(established());
    CHECK(a.texts().back() == "from b");
    CHECK(b.texts().back() == "from a");
  }
  void check_no_other_events(core_side& s, std::size_t most) {
    std::size_t lineage = 0;
    for (event_kind k : {event_kind::peer_reset, event_kind::store_lost,
                         event_kind::peer_rolled_back, event_kind::rolled_back}) {
      lineage += s.count(k);
    }
    CHECK(lineage == most);
  }
};

/// Whether any event of the kind names the sequence as one to the peer, or from it.
bool names_outbound(const core_side& s, event_kind kind, std::uint64_t sequence) {
  for (const event_record& e : s.events) {
    if (e.kind == kind && e.outbound.contains(sequence)) return true;
  }
  return false;
}
bool names_inbound(const core_side& s, event_kind kind, std::uint64_t sequence) {
  for (const event_record& e : s.events) {
    if (e.kind == kind && e.inbound.contains(sequence)) return true;
  }
  return false;
}

/// Whether the intact side's store shows something that a store put back lacks.
bool knows_more(const cursors& intact, const cursors& back) {
  return intact.history.seen.count > back.history.mark.count ||
         intact.history.confirmed.count > back.history.seen.count ||
         intact.inbox.received() >= back.outbox.next ||
         intact.outbox.acknowledged > back.inbox.received();
}

/// Messages of `a` that arrive and are not answered, so that it makes no stamp that would tell two
/// histories apart: the copy of its store knows all but the last six.
backup send_unanswered(pair_in_use& p) {
  p.b.application_up = false;
  p.filter = [](bool to_a, const auto&) { return !to_a; };
  p.a.send("a4");
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.received() == 4; }));
  backup old(p.a);
  send(p.a, numbered("first ", 6));
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.received() == 10; }));
  p.run_for(1s);
  CHECK(p.a.disk.where.history == old.disk.where.history);
  p.filter = nullptr;
  p.disconnect();
  return old;
}

bool contains(const texts& all, const std::string& text) {
  return std::find(all.begin(), all.end(), text) != all.end();
}

}  // namespace

TEST_CASE("a store that went back is told so, the peer is told of it, and ranges cover the loss") {
  for (bool seen : {true, false}) {
    pair_in_use p;
    backup old(p.b);
    send(p.a, {"a4", "a5"});
    send(p.b, {"b4", "b5"});
    p.settle_all();
    p.put_back(old, p.b, seen);
    p.go_on();
    REQUIRE(p.b.count(event_kind::rolled_back) == 1);
    REQUIRE(p.a.count(event_kind::peer_rolled_back) == 1);
    p.check_no_other_events(p.a, 1);
    p.check_no_other_events(p.b, 1);
    for (std::uint64_t s : {4U, 5U}) {
      CHECK(names_inbound(p.b, event_kind::rolled_back, s));
      CHECK(names_outbound(p.b, event_kind::rolled_back, s));
      CHECK(names_outbound(p.a, event_kind::peer_rolled_back, s));
      CHECK(names_inbound(p.a, event_kind::peer_rolled_back, s));
    }
    // What both had confirmed before the copy was made is safe.
    CHECK_FALSE(names_outbound(p.a, event_kind::peer_rolled_back, 3));
    CHECK_FALSE(names_inbound(p.a, event_kind::peer_rolled_back, 3));
    CHECK(p.b.disk.where.history.origin == lineage_origin::rolled_back);
  }
}

TEST_CASE("a store that went back in `delivered` alone is found on both sides") {
  pair_in_use p;
  p.b.application_up = false;
  send(p.a, {"a4", "a5"});
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 5; }));
  p.run_for(1s);
  backup old(p.b);
  p.b.application_up = true;
  p.settle_all();
  p.put_back(old, p.b);
  p.go_on();
  CHECK(p.b.count(event_kind::rolled_back) == 1);
  CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
  CHECK(names_inbound(p.b, event_kind::rolled_back, 4));
  CHECK(names_outbound(p.a, event_kind::peer_rolled_back, 5));
  // The copy holds both still: they come again.
  CHECK(p.b.texts() == texts{"a1", "a2", "a3", "a4", "a5", "from a"});
}

TEST_CASE("a store that went back is told so once, though its peer was storing a lost message") {
  for (bool seen : {true, false}) {
    pair_in_use p;
    backup old(p.b);
    // The peer stores a stamp that is newer than the copy, and has no message after it yet.
    p.a.send("a4");
    REQUIRE(p.until([&] { return p.a.disk.where.history.seen != old.disk.where.history.mark; }));
    p.filter = [](bool to_a, const auto&) { return to_a; };
    p.run_for(100ms);
    p.a.commit_time = 1s;
    p.b.send("b4");
    p.run_for(50ms);
    REQUIRE(p.a->inbox_depth() == 1);
    REQUIRE(p.a.disk.where.inbox.received() == 3);
    p.filter = nullptr;
    p.put_back(old, p.b, seen);
    p.run_for(5s);
    p.go_on();
    INFO("seen " << seen);
    CHECK(p.b.count(event_kind::rolled_back) == 1);
    CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
  }
}

TEST_CASE("a copy of a store that nothing happened to since is the store") {
  for (bool seen : {true, false}) {
    pair_in_use p;
    backup old(p.b);
    p.run_for(10s);
    p.put_back(old, p.b, seen);
    p.go_on();
    p.check_no_other_events(p.a, 0);
    p.check_no_other_events(p.b, 0);
  }
}

TEST_CASE("a store that is lost is told so, and the peer is told of it") {
  for (bool seen : {true, false}) {
    pair_in_use p;
    p.b.lose_store();
    p.b.consumed.clear();
    p.b.sent.clear();
    p.crash(p.b, seen);
    p.go_on();
    CHECK(p.b.count(event_kind::store_lost) == 1);
    CHECK(p.a.count(event_kind::peer_reset) == 1);
    p.check_no_other_events(p.a, 1);
    p.check_no_other_events(p.b, 1);
    for (std::uint64_t s : {1U, 3U}) {
      CHECK(names_inbound(p.b, event_kind::store_lost, s));
      CHECK(names_outbound(p.b, event_kind::store_lost, s));
    }
    CHECK(p.b.disk.where.history.origin == lineage_origin::store_lost);
    CHECK(p.a.texts() == texts{"b1", "b2", "b3", "from b"});
    CHECK(p.b.texts() == texts{"from a"});
  }
}

TEST_CASE("a peer whose store went back is not called connected before it is said so") {
  for (bool lost : {true, false}) {
    for (bool seen : {true, false}) {
      pair_in_use p;
      backup old(p.b);
      send(p.a, {"a4"});
      p.settle_all();
      if (lost) p.b.lose_store();
      p.a.events.clear();
      p.b.events.clear();
      lost ? p.crash(p.b, seen) : p.put_back(old, p.b, seen);
      p.settle_all();
      auto kinds = [](const core_side& s) {
        std::vector<event_kind> all;
        for (const event_record& e : s.events) {
          if (e.kind != event_kind::gap) all.push_back(e.kind);
        }
        return all;
      };
      event_kind told = lost ? event_kind::peer_reset : event_kind::peer_rolled_back;
      INFO(lost << ' ' << seen);
      // A crash that was not seen is no end of the session: the next one takes its place.
      CHECK(kinds(p.a) ==
            (seen ? std::vector{event_kind::peer_disconnected, told, event_kind::peer_connected}
                  : std::vector{told}));
      CHECK(kinds(p.b) == std::vector{lost ? event_kind::store_lost : event_kind::rolled_back,
                                      event_kind::peer_connected});
    }
  }
}

TEST_CASE("the same copy may be put back again and again, and each time both are told") {
  pair_in_use p;
  backup old(p.b);
  for (std::size_t time = 1; time <= 4; ++time) {
    // At least one message that the copy does not have.
    p.a.send("more");
    p.settle_all();
    p.put_back(old, p.b, time % 2 == 0);
    p.go_on();
    INFO(time);
    CHECK(p.b.count(event_kind::rolled_back) == time);
    CHECK(p.a.count(event_kind::peer_rolled_back) == time);
    p.check_no_other_events(p.a, time);
    p.check_no_other_events(p.b, time);
  }
}

TEST_CASE("a lost store that is found again is told that it went back") {
  for (bool used : {false, true}) {
    pair_in_use p;
    backup old(p.b);
    p.b.lose_store();
    p.b.consumed.clear();
    p.crash(p.b);
    if (used) p.b.send("of the new store");
    p.settle_all();
    REQUIRE(p.b.count(event_kind::store_lost) == 1);
    REQUIRE(p.a.count(event_kind::peer_reset) == 1);
    p.put_back(old, p.b);
    p.go_on();
    INFO(used);
    CHECK(p.b.count(event_kind::rolled_back) == 1);
    CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
    p.check_no_other_events(p.a, 2);
    p.check_no_other_events(p.b, 2);
  }
}

TEST_CASE("a store that is lost time and again is told each time") {
  pair_in_use p;
  for (std::size_t time = 1; time <= 3; ++time) {
    p.b.lose_store();
    p.b.consumed.clear();
    p.crash(p.b, time % 2 == 0);
    p.go_on();
    CHECK(p.b.count(event_kind::store_lost) == time);
    CHECK(p.a.count(event_kind::peer_reset) == time);
  }
}

TEST_CASE("copies of two histories that are put back by turns are told each time") {
  pair_in_use p;
  backup first(p.b);
  p.a.send("more");
  p.settle_all();
  p.put_back(first, p.b);
  p.go_on();
  backup second(p.b);
  p.a.send("more");
  p.b.send("more");
  p.settle_all();
  for (std::size_t time = 2; time <= 5; ++time) {
    p.put_back(time % 2 == 0 ? second : first, p.b);
    p.go_on();
    INFO(time);
    CHECK(p.b.count(event_kind::rolled_back) == time);
    CHECK(p.a.count(event_kind::peer_rolled_back) == time);
  }
}

TEST_CASE("both stores may go back at once, and each side is told of both") {
  pair_in_use p;
  backup old_a(p.a), old_b(p.b);
  send(p.a, {"a4", "a5"});
  send(p.b, {"b4", "b5"});
  p.settle_all();
  SECTION("together, to one moment: nobody can tell") {
    p.disconnect();
    old_a.put_back(p.a);
    old_b.put_back(p.b);
    p.crash(p.a);
    p.crash(p.b);
    p.connect();
    p.go_on();
    p.check_no_other_events(p.a, 0);
    p.check_no_other_events(p.b, 0);
  }
  SECTION("the one further than the other") {
    p.disconnect();
    backup middle(p.a);
    p.connect();
    send(p.a, {"a6"});
    send(p.b, {"b6"});
    p.settle_all();
    p.disconnect();
    middle.put_back(p.a);
    old_b.put_back(p.b);
    p.crash(p.a);
    p.crash(p.b);
    p.connect();
    p.go_on();
    CHECK(p.b.count(event_kind::rolled_back) == 1);
    CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
    for (std::uint64_t s : {4U, 5U}) {
      CHECK(names_inbound(p.b, event_kind::rolled_back, s));
      CHECK(names_outbound(p.a, event_kind::peer_rolled_back, s));
    }
  }
}

TEST_CASE(
    "a store put back at any moment to any earlier one is told, and all that is lost is named") {
  std::size_t told = 0, silent = 0;
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    for (std::uint64_t saved = 0; saved < 130; saved += 3) {
      for (std::uint64_t later : {7U, 31U, 64U, 200U}) {
        core_pair p(patient(), seed, seed == 4);
        p.shuffled = seed > 1;
        p.connect();
        send(p.a, numbered("a", 6));
        send(p.b, numbered("b", 4));
        while (p.steps < saved && p.step()) {
        }
        backup old(p.b);
        while (p.steps < saved + later && p.step()) {
        }
        texts sent_before = p.b.sent;
        bool known = knows_more(p.a.disk.where, old.disk.where) && old.disk.where.met();
        old.put_back(p.b);
        p.crash(p.b, seed != 2);
        INFO("seed " << seed << " saved " << saved << " later " << later);
        REQUIRE(p.settle());
        p.a.send("from a");
        p.b.send("from b");
        REQUIRE(p.settle());
        p.run_for(1s);
        texts at_a = p.a.texts(), at_b = p.b.texts();
        CHECK(at_a.back() == "from b");
        CHECK(at_b.back() == "from a");
        CHECK(p.a.count(event_kind::rolled_back) + p.a.count(event_kind::store_lost) == 0);
        std::size_t here = p.b.count(event_kind::rolled_back);
        CHECK(here + p.b.count(event_kind::store_lost) <= 1);
        if (known) {
          ++told;
          CHECK(here >= 1);
          CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
        }
        if (p.b.count(event_kind::store_lost) > 0) continue;
        if (here == 0) {
          ++silent;
          CHECK(at_b == p.a.sent);
          continue;
        }
        for (std::size_t s = 1; s <= 6; ++s) {
          if (contains(at_b, numbered("a", 6)[s - 1])) continue;
          INFO("a's " << s);
          CHECK(names_inbound(p.b, event_kind::rolled_back, s));
          CHECK(names_outbound(p.a, event_kind::peer_rolled_back, s));
        }
        for (std::size_t s = 1; s <= sent_before.size(); ++s) {
          if (contains(at_a, sent_before[s - 1])) continue;
          INFO("b's " << s);
          CHECK(names_outbound(p.b, event_kind::rolled_back, s));
          CHECK(names_inbound(p.a, event_kind::peer_rolled_back, s));
        }
      }
    }
  }
  CHECK(told > 100);
  CHECK(silent > 20);
}

TEST_CASE("a crash at any moment of a store's return changes nothing of what is told") {
  for (int who = 0; who < 3; ++who) {
    for (std::uint64_t at = 0; at < 60; ++at) {
      pair_in_use p;
      backup old(p.b);
      send(p.a, {"a4", "a5"});
      send(p.b, {"b4"});
      p.settle_all();
      p.put_back(old, p.b);
      for (std::uint64_t i = 0; i < at && p.step(); ++i) {
      }
      if (who != 1) p.crash(p.a, at % 2 == 0);
      if (who != 0) p.crash(p.b, at % 3 == 0);
      INFO(who << ' ' << at);
      p.go_on();
      // A side that crashes before its new state is stored says it again.
      CHECK(p.b.count(event_kind::rolled_back) >= 1);
      CHECK(p.b.count(event_kind::rolled_back) <= 2);
      CHECK(p.a.count(event_kind::peer_rolled_back) >= 1);
      CHECK(p.a.count(event_kind::peer_rolled_back) <= 2);
      CHECK(names_inbound(p.b, event_kind::rolled_back, 5));
      CHECK(names_outbound(p.a, event_kind::peer_rolled_back, 5));
    }
  }
}

TEST_CASE("another message under a number that the peer has is found, read from the store") {
  for (bool other : {true, false}) {
    pair_in_use p;
    const backup old = send_unanswered(p);
    if (other) {
      old.put_back(p.a);
      p.crash(p.a);
      send(p.a, numbered("second ", 12));
    } else {
      // The hash of the peer's last message is in no memory.
      p.crash(p.a);
      send(p.a, numbered("more ", 6));
      p.run_for(1s);
      p.crash(p.a);
    }
    p.run_for(1s);
    p.connect();
    bool verified = false;
    REQUIRE(p.until([&] {
      verified = verified || p.a->state() == phase::verifying;
      return p.a->state() == phase::established || p.a.count(event_kind::rolled_back) > 0;
    }));
    CHECK(verified);
    CHECK(p.a.count(event_kind::rolled_back) == (other ? 1 : 0));
    p.b.application_up = true;
    REQUIRE(p.settle());
    p.run_for(1s);
    CHECK(p.a.count(event_kind::rolled_back) == (other ? 1 : 0));
    CHECK(p.b.count(event_kind::peer_rolled_back) == (other ? 1 : 0));
    texts expected = numbered("a", 4);
    for (const std::string& text : numbered("first ", 6)) expected.push_back(text);
    // Of its outbox the copy does not know that it arrived.
    if (other) expected.push_back("a4");
    for (const std::string& text : other ? numbered("second ", 12) : numbered("more ", 6)) {
      expected.push_back(text);
    }
    CHECK(p.b.texts() == expected);
  }
}

TEST_CASE("a hash that the peer claims is not believed after a session that ended too soon") {
  pair_in_use p;
  const backup old = send_unanswered(p);
  old.put_back(p.a);
  p.crash(p.a);
  send(p.a, numbered("second ", 12));
  p.run_for(1s);
  p.connect();
  REQUIRE(p.until([&] { return p.a->state() == phase::verifying; }));
  p.reconnect();
  p.b.application_up = true;
  p.go_on();
  CHECK(p.a.count(event_kind::rolled_back) == 1);
  CHECK(p.b.count(event_kind::peer_rolled_back) == 1);
  for (const std::string& text : numbered("second ", 12)) CHECK(contains(p.b.texts(), text));
}

TEST_CASE("a session that ends while a hash is read for an adoption keeps nobody waiting") {
  pair_in_use p;
  p.b.application_up = false;
  send(p.a, numbered("first ", 6));
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 9; }));
  p.run_for(1s);
  backup old(p.b);
  p.b.send("b4");
  REQUIRE(p.until([&] { return p.a.consumed.size() == 4; }));
  p.run_for(1s);
  // b goes back, and a has the hash of b's last message in its store alone.
  p.disconnect();
  p.crash(p.a);
  send(p.a, numbered("second ", 6));
  p.run_for(1s);
  p.put_back(old, p.b);
  p.connect();
  REQUIRE(p.until([&] { return p.a->state() == phase::renewing_history; }));
  REQUIRE(p.b.count(event_kind::rolled_back) == 1);
  SECTION("the network has another one") { p.reconnect(); }
  SECTION("the network has none for a while") {
    p.disconnect();
    p.run_for(1s);
    CHECK(p.a->state() == phase::absent);
    p.connect();
  }
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
  CHECK(p.b.texts().back() == "second 6");
}

TEST_CASE("deliveries before the handshake do not mask that a store went back") {
  pair_in_use p;
  p.b.application_up = false;
  send(p.a, {"a4", "a5", "a6"});
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 6; }));
  p.run_for(1s);
  backup old(p.b);
  p.b.application_up = true;
  p.settle_all();
  for (std::size_t again = 0; again <= 3; ++again) {
    p.disconnect();
    old.put_back(p.b);
    p.b.application_up = false;
    p.crash(p.b);
    p.b.application_up = true;
    REQUIRE(p.until([&] { return p.b.consumed.size() >= 3 + again; }));
    p.b.application_up = false;
    p.run_for(1s);
    p.connect();
    REQUIRE(p.until([&] { return p.established(); }));
    p.b.application_up = true;
    p.settle_all();
    INFO(again);
    CHECK(p.b.count(event_kind::rolled_back) == again + 1);
    CHECK(p.a.count(event_kind::peer_rolled_back) == again + 1);
    CHECK(names_inbound(p.b, event_kind::rolled_back, 4));
    CHECK(names_outbound(p.a, event_kind::peer_rolled_back, 4));
  }
}

TEST_CASE(
    "deliveries from the inbox before the handshake do not look like a store that went back") {
  pair_in_use p;
  p.b.application_up = false;
  send(p.a, {"a4", "a5", "a6"});
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 6; }));
  p.disconnect();
  p.crash(p.b);
  p.b.application_up = true;
  REQUIRE(p.until([&] { return p.b.consumed.size() == 6; }));
  p.run_for(1s);
  p.connect();
  p.go_on();
  p.reconnect();
  p.go_on();
  p.check_no_other_events(p.a, 0);
  p.check_no_other_events(p.b, 0);
}

TEST_CASE("a late message of a lost history does not pass for the new one of its number") {
  pair_in_use p;
  backup old(p.a);
  std::vector<std::byte> late;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    if (!to_a && !read_frame(sent, {}, f) && !f.data.empty()) late = sent;
    return to_a;
  };
  p.a.send("old");
  REQUIRE(p.until([&] { return !late.empty(); }));
  int steps = 0;
  bool taken = false;
  SECTION("while the new life shakes hands") { steps = 4; }
  SECTION("when it begins") {}
  SECTION("when the session is open") { steps = 1000; }
  p.filter = nullptr;
  p.put_back(old, p.a, false);
  p.a.send("new");
  for (int i = 0; i < steps && !p.established() && p.operate(); ++i) {
  }
  p.b->handle_frame(late, p.now);
  p.settle_all();
  for (const std::string& text : p.b.texts()) taken = taken || text == "old";
  CHECK(contains(p.b.texts(), "new"));
  CHECK(p.a.count(event_kind::rolled_back) == (taken ? 1 : 0));
  CHECK(p.b.count(event_kind::peer_rolled_back) == (taken ? 1 : 0));
  p.go_on();
}

TEST_CASE("a message in commit at the next handshake reveals a store that went back as well") {
  for (bool fails : {false, true}) {
    pair_in_use p;
    backup old(p.a);
    p.b.commit_time = 2s;
    p.a.send("old");
    REQUIRE(p.until([&] { return p.b->inbox_depth() == 1; }));
    p.run_for(100ms);
    p.put_back(old, p.a);
    if (fails) p.b.failing_commits = 1;
    p.a.send("new");
    REQUIRE(p.until([&] { return contains(p.b.texts(), "new"); }));
    p.b.commit_time = 0s;
    p.settle_all();
    INFO(fails);
    if (!fails) {
      CHECK(p.a.count(event_kind::rolled_back) == 1);
      CHECK(p.b.count(event_kind::peer_rolled_back) == 1);
    }
    p.go_on();
  }
}

TEST_CASE("a peer that crashed before it stored this side is told again how much was received") {
  core_pair p(patient());
  p.connect();
  send(p.b, numbered("b", 3));
  p.a.commit_time = 100ms;
  REQUIRE(p.until([&] { return p.b.disk.where.met(); }));
  REQUIRE_FALSE(p.a.disk.where.met());
  p.crash(p.a);
  p.a.commit_time = 0s;
  REQUIRE(p.settle());
  CHECK(p.a.texts() == numbered("b", 3));
  for (core_side* s : {&p.a, &p.b}) {
    CHECK(s->count(event_kind::store_lost) + s->count(event_kind::peer_reset) == 0);
    CHECK(s->count(event_kind::rolled_back) + s->count(event_kind::peer_rolled_back) == 0);
  }
}

TEST_CASE("the receiver grants the credit that messages of a lost store gave back") {
  options o = patient();
  o.credit_messages = 4;
  core_pair p(o);
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 4));
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 4; }));
  p.run_for(1s);
  p.a.lose_store();
  p.crash(p.a);
  send(p.a, numbered("new ", 4));
  p.run_for(2s);
  CHECK(p.b.disk.inbox.size() == 4);
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == texts{"a1", "a2", "a3", "a4", "new 1", "new 2", "new 3", "new 4"});
  CHECK(p.b->rejected_frames() == 0);
}

TEST_CASE("credit that messages of a stream before this one gave back is told without a timer") {
  options o = patient();
  o.credit_messages = 4;
  core_pair p(o, 1, true);
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 4));
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 4; }));
  p.run_for(1s);
  p.a.lose_store();
  p.crash(p.a);
  send(p.a, numbered("new ", 4));
  p.run_for(1s);
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == texts{"a1", "a2", "a3", "a4", "new 1", "new 2", "new 3", "new 4"});
}

TEST_CASE("an old hello that comes again and again does not stop a stream") {
  core_pair p(patient());
  p.faults.delay = 100ms;
  std::vector<std::vector<std::byte>> hellos;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    if (!to_a && !read_frame(sent, {}, f) && (f.hello || f.challenge)) hellos.push_back(sent);
    return true;
  };
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.reconnect();
  p.a.send("first");
  p.b.send("first");
  REQUIRE(p.settle());
  REQUIRE(hellos.size() >= 4);
  p.filter = nullptr;
  for (core_side* s : {&p.a, &p.b}) s->events.clear();
  std::size_t which = 0;
  for (int i = 0; i < 100; ++i) {
    p.a.send("x");
    p.b.send("y");
    p.run_for(150ms);
    p.b->handle_frame(hellos[which++ % hellos.size()], p.now);
    // Both hear of the last second's messages, whatever came meanwhile.
    CHECK(p.a->outbox_depth() <= 6);
    CHECK(p.b->outbox_depth() <= 6);
    CHECK(p.established());
  }
  REQUIRE(p.settle());
  CHECK(p.b.consumed.size() == 101);
  CHECK(p.a.consumed.size() == 101);
  CHECK(p.a.events.empty());
  CHECK(p.b.events.empty());
  CHECK(p.b->duplicates() + p.a->duplicates() == 0);
}

TEST_CASE("a crash before a peer's new history is stored shows the peer nothing of another life") {
  pair_in_use p;
  backup old(p.b);
  send(p.a, numbered("more", 3));
  send(p.b, numbered("more", 3));
  p.settle_all();
  p.put_back(old, p.b);
  p.a.commit_time = 100ms;
  REQUIRE(p.until([&] { return p.a.count(event_kind::peer_rolled_back) == 1; }));
  p.run_for(50ms);
  std::uint64_t base = p.b.disk.where.history.base;
  REQUIRE(p.a.disk.where.history.seen.count < base);
  p.crash(p.a);
  p.a.commit_time = 0s;
  p.go_on();
  CHECK(p.b.disk.where.history.base == base);
  p.check_no_other_events(p.b, 1);
  CHECK(p.b.count(event_kind::rolled_back) == 1);
}

TEST_CASE("no ack goes out before a range that was skipped is stored") {
  pair_in_use p;
  backup old(p.b);
  send(p.a, numbered("more", 3));
  p.settle_all();
  int acks = 0;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    REQUIRE_FALSE(read_frame(sent, {}, f));
    if (!to_a || !f.ack) return true;
    ++acks;
    CHECK(f.ack->claim.received + 1 >= p.a.disk.where.outbox.first);
    return true;
  };
  p.put_back(old, p.b);
  p.b.commit_time = 100ms;
  REQUIRE(p.until([&] { return p.b.count(event_kind::gap) == 1; }));
  p.run_for(1s);
  CHECK(acks > 0);
  p.b.commit_time = 0s;
  p.go_on();
}

TEST_CASE("two sides come together again, whatever stamp one of them believed") {
  for (std::uint64_t count : {std::uint64_t{100}, plausible_count - 1, plausible_count,
                              maximum_count - 1, maximum_count}) {
    // What somebody said in the name of the one or the other was stored, or what that led to.
    for (int which : {0, 1, 2}) {
      INFO(count << ' ' << which);
      pair_in_use p;
      if (which == 0) p.a.disk.where.history.mark = {std::min(count, plausible_count) + 1, 5};
      if (which >= 1) p.a.disk.where.history.seen = {count, 5};
      if (which == 2) p.b.disk.where.history.seen = {count, 6};
      p.crash(p.a, true);
      p.crash(p.b, true);
      p.go_on();
      CHECK(p.a->rejected_frames() + p.b->rejected_frames() < 10);
      CHECK(p.a->stored().history.seen == p.b->stored().history.mark);
      CHECK(p.a->stored().history.mark.count <= plausible_count + 10);
      CHECK(p.b->stored().history.mark.count <= plausible_count + 10);
      for (core_side* s : {&p.b, &p.a}) {
        s->lose_store();
        s->consumed.clear();
        p.crash(*s, true);
        p.go_on();
      }
    }
  }
}
