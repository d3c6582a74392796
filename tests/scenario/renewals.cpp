#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

using namespace test;
using ilm::event_kind;

// How often a peer may begin anew is bounded: each time costs events, commits and the session.

namespace {

/// A peer that begins a new history with each handshake.
struct restless_peer {
  restless_peer(world& w, const std::string& name, const std::string& other) : x(w, name, other) {}

  bool begin_anew() {
    ++x.me.base;
    x.me.origin = ilm::lineage_origin::store_lost;
    x.me.stream = x.me.claim.mark = ilm::stamp{x.me.base, 0x9999 + x.me.base};
    return x.open();
  }

  raw_peer x;
};

}  // namespace

TEST_CASE("a peer that begins anew 1,200 times costs a few events and commits, and no other peer") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  w.run_for(100ms);
  restless_peer r(w, "x", "a");
  std::uint64_t before = a.statistics().commits;
  for (int i = 0; i < 1200; ++i) REQUIRE(r.begin_anew());
  w.run_for(100ms);
  CHECK(a.count(event_kind::peer_reset) >= 8);
  CHECK(a.count(event_kind::peer_reset) <= 28);
  CHECK(a.statistics().commits - before <= 60);
  CHECK(a.count(event_kind::events_lost) == 0);
  b.send("a", "from a quiet peer");
  w.run_for(100ms);
  CHECK(a.app().texts_from("b") == std::vector<std::string>{"from a quiet peer"});
}

TEST_CASE("a hello that came too early is heard when it is said again after the wait") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  restless_peer r(w, "x", "a");
  for (int i = 0; i < 100; ++i) REQUIRE(r.begin_anew());
  w.run_for(100ms);
  std::size_t before = a.count(event_kind::peer_reset);
  REQUIRE(r.begin_anew());
  CHECK(a.count(event_kind::peer_reset) == before);
  bool heard = false;
  for (int i = 0; i < 20 && !heard; ++i) {
    w.run_for(5s);
    r.x.put(r.x.hello_frame(r.x.theirs.nonce, true));
    w.run_for(100ms);
    heard = a.count(event_kind::peer_reset) > before;
  }
  CHECK(heard);
}

TEST_CASE("a stranger in a peer's name costs little, and the peer comes back when it is gone") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  store_all(w, a, "b", {"before"});
  REQUIRE(w.until([&] { return empty(a); }));
  crash(w, b);
  std::uint64_t commits = a.statistics().commits;
  {
    restless_peer stranger(w, "b", "a");
    stranger.x.me.base = 100;
    for (int i = 0; i < 3000; ++i) stranger.begin_anew();
    CHECK(a.count(event_kind::peer_reset) >= 8);
    CHECK(a.count(event_kind::peer_reset) <= 30);
    CHECK(a.count(event_kind::peer_disconnected) <= 60);
    CHECK(a.statistics().commits - commits <= 90);
  }
  b.start();
  store_all(w, a, "b", {"after"});
  REQUIRE(w.until([&] { return empty(a); }, 300s));
  CHECK(b.app().texts_from("a").back() == "after");
}

TEST_CASE("two honest peers come together however often one of them loses its store in a row") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  for (int i = 0; i < 40; ++i) {
    w.run_for(50ms);
    crash(w, b);
    b.lose_store();
    b.start();
  }
  auto there = a.send("b", "there");
  auto back = b.send("a", "back");
  REQUIRE(
      w.until([&] { return a.app().texts_from("b").size() == 1 && empty(a) && empty(b); }, 200s));
  CHECK(b.app().texts_from("a").back() == "there");
}
