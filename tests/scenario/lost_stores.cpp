#include "support/catch.hpp"
#include "support/steps.hpp"

#include <algorithm>

using namespace test;
using ilm::event_kind;
using ilm::sequence_range;

// A peer that lost its store begins a new history. Both sides are told, with ranges. Who lost the
// store knows nothing of what it held, so these ranges are wide; none leaves out what is concerned.

namespace {

void watch_again(peer& p) {
  p.events().clear();
  p.watch();
}

std::size_t count_of(const std::vector<std::string>& all, const std::string& text) {
  return static_cast<std::size_t>(std::count(all.begin(), all.end(), text));
}

}  // namespace

TEST_CASE("the new history of a sender is seen, and its messages are delivered") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(5));
  REQUIRE(w.until([&] { return empty(a); }));
  w.run_for(1s);
  crash(w, a);
  a.lose_store();
  watch_again(b);
  a.start();
  watch_again(a);
  auto sent = store_all(w, a, "b", {"new 0", "new 1"});
  CHECK(sent[0]->sequence == 1);
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().texts() == numbered(5) + numbered(2, "new "));
  CHECK(b.statistics_of("a").duplicates_dropped == 0);

  REQUIRE(b.count(event_kind::peer_reset) == 1);
  const event& reset = *b.find(event_kind::peer_reset);
  CHECK(reset.peer == "a");
  CHECK(reset.outbound.empty());
  CHECK(reset.inbound == all_from(1));
  REQUIRE(a.count(event_kind::store_lost) == 1);
  const event& lost = *a.find(event_kind::store_lost);
  CHECK(lost.peer == "b");
  CHECK(lost.outbound == all_from(1));
  CHECK(lost.inbound == all_from(1));
}

TEST_CASE(
    "a receiver that lost its store gets again the messages that it did not confirm, in a named "
    "range") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(3));
  REQUIRE(w.until([&] { return empty(a); }));
  w.run_for(1s);
  w.net.block("b", "a");
  store_all(w, a, "b", {"3", "4"});
  w.run_for(100ms);
  REQUIRE(b.app().consumed.size() == 5);
  crash(w, b);
  b.lose_store();
  store_all(w, a, "b", {"5"});
  w.net.unblock("b", "a");
  watch_again(a);
  b.start();
  watch_again(b);
  REQUIRE(w.until([&] { return empty(a); }));
  // 3 and 4 come twice, and an event said so; nothing else does.
  CHECK(b.app().texts() == numbered(5) + std::vector<std::string>{"3", "4", "5"});
  REQUIRE(a.count(event_kind::peer_reset) == 1);
  const event& reset = *a.find(event_kind::peer_reset);
  CHECK(reset.outbound == sequence_range{4, 6});
  REQUIRE(b.count(event_kind::store_lost) == 1);
  CHECK(b.find(event_kind::store_lost)->inbound == all_from(1));
}

TEST_CASE("the inbox delivers the messages of the old stream before the new stream") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  bool ready = false;
  b.app().check = [&](const message&) {
    if (!ready) throw std::runtime_error("not yet");
  };
  store_all(w, a, "b", numbered(5));
  REQUIRE(w.until([&] { return b.disk().size(ilm::queue::inbox) == 5; }));
  w.run_for(100ms);
  crash(w, a);
  a.lose_store();
  a.start();
  store_all(w, a, "b", numbered(5, "new "));
  w.run_for(1s);
  CHECK(b.disk().size(ilm::queue::inbox) == 10);
  crash(w, b);
  b.start();
  w.run_for(1s);
  ready = true;
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(b.app().texts() == numbered(5) + numbered(5, "new "));
}

TEST_CASE("the loss of one side's store in two-way traffic loses nothing of the other's silently") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  for (int i = 0; i < 20; ++i) {
    send_all(a, "b", {std::to_string(i)});
    send_all(b, "a", {std::to_string(i)});
    w.run_for(1ms);
  }
  crash(w, b);
  std::size_t consumed = b.app().consumed.size();
  b.lose_store();
  b.start();
  b.watch();
  store_all(w, a, "b", {"20"});
  store_all(w, b, "a", {"after"});
  REQUIRE(
      w.until([&] { return empty(a) && empty(b) && a.app().consumed.back().text() == "after"; }));
  REQUIRE(a.count(event_kind::peer_reset) == 1);
  REQUIRE(b.count(event_kind::store_lost) == 1);
  sequence_range again = a.find(event_kind::peer_reset)->outbound;
  std::vector<std::string> texts = b.app().texts();
  for (std::uint64_t s = 1; s <= 21; ++s) {
    std::size_t times = count_of(texts, std::to_string(s - 1));
    if (s == 21) {
      CHECK(times == 1);
    } else {
      INFO("message " << s << ", " << consumed << " consumed before");
      CHECK(times >= 1);
      if (times > 1) CHECK(again.contains(s));
    }
  }
  // Of b's own, what a never got is within the range that b is told of.
  std::vector<std::string> got = a.app().texts_from("b");
  std::uint64_t first_lost = b.find(event_kind::store_lost)->outbound.first;
  CHECK(first_lost <= got.size());
  got.pop_back();
  CHECK(got == numbered(got.size()));
}

TEST_CASE("both sides lost their stores: they begin anew") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(3));
  store_all(w, b, "a", numbered(3));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  crash(w, a);
  crash(w, b);
  a.lose_store();
  b.lose_store();
  a.start();
  b.start();
  store_all(w, a, "b", {"new"});
  store_all(w, b, "a", {"new"});
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(a.app().texts() == numbered(3) + std::vector<std::string>{"new"});
  CHECK(b.app().texts() == numbered(3) + std::vector<std::string>{"new"});
}

TEST_CASE("a store that is lost again and again is reported each time") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  for (std::size_t i = 1; i <= 20; ++i) {
    store_all(w, a, "b", {std::to_string(i)});
    store_all(w, b, "a", {std::to_string(i)});
    REQUIRE(w.until([&] { return empty(a) && empty(b); }));
    w.run_for(100ms);
    crash(w, b);
    b.lose_store();
    b.start();
    w.run_for(100ms);
    CHECK(a.count(event_kind::peer_reset) == i);
  }
  CHECK(a.app().consumed.size() == 20);
  CHECK(b.app().consumed.size() == 20);
}

TEST_CASE("a reset that a crash interrupts goes on after the restart") {
  for (int k = 1; k <= 6; ++k) {
    for (bool after : {false, true}) {
      world w;
      peer a = w.make("a"), b = w.make("b");
      a.start();
      b.start();
      store_all(w, a, "b", numbered(3));
      REQUIRE(w.until([&] { return empty(a); }));
      w.run_for(100ms);
      crash(w, a);
      a.lose_store();
      a.start();
      send_all(a, "b", numbered(3, "new "));
      int operations = 0;
      b.store_faults().watch = [&](ilm::testing::store_faults::operation, bool done) {
        if (done != after || ++operations != k) return;
        b.crash();
        throw std::system_error(std::make_error_code(std::errc::interrupted));
      };
      w.run_for(1s);
      b.store_faults().watch = {};
      if (!b.running()) b.start();
      REQUIRE(w.until([&] { return empty(a); }));
      std::vector<std::string> texts = b.app().texts();
      CHECK(std::count(texts.begin(), texts.end(), "new 0") >= 1);
      texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
      CHECK(texts.back() == "new 2");
      for (std::size_t i = 0; i < 3; ++i) CHECK(texts[i] == std::to_string(i));
    }
  }
}

TEST_CASE("a side that lost its store gets an event even if its peer has heard of it before") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, b, "a", {"0", "1", "2"});
  REQUIRE(w.until([&] { return empty(b); }));
  crash(w, b);
  b.lose_store();
  // The peer hears of the new store, but its answers do not arrive; then it crashes, so that only
  // its store can know of the old one.
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  b.start();
  b.watch();
  w.run_for(10ms);
  w.net.block("a", "b");
  w.run_for(2s);
  crash(w, a);
  REQUIRE(b.count(event_kind::store_lost) == 0);
  w.net.unblock("a", "b");
  a.start();
  a.watch();
  REQUIRE(w.until([&] {
    return a.count(event_kind::peer_reset) == 1 && b.count(event_kind::peer_connected) == 1;
  }));
  REQUIRE(b.count(event_kind::store_lost) == 1);
  CHECK(b.find(event_kind::store_lost)->outbound == all_from(1));
}
