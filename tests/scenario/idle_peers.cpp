#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/runtime/bounds.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace test;
using ilm::event_kind;
using strings = std::vector<std::string>;

// A peer with no session and nothing to do is left out of memory, but for its cursors in the store
// and its figures, and nobody can tell.

namespace {

/// Longer than a peer stays in memory that has nothing to do.
constexpr std::chrono::nanoseconds quiet = 2 * ilm::runtime::quiet_before_leaving;

std::size_t names_of(peer& p) { return p.statistics().peers.size(); }

/// a and b have exchanged messages, and b is away.
struct acquaintances {
  acquaintances() {
    ilm::faults slow;
    slow.delay = 1ms;
    w.net.set_faults(slow);
    a.start();
    a.watch();
    b.start();
    store_all(w, a, "b", numbered(3));
    store_all(w, b, "a", {"x", "y"});
    REQUIRE(w.until([&] { return empty(a) && empty(b); }));
    w.run_for(100ms);
    crash(w, b);
    REQUIRE(w.until([&] { return a.connected_peers().empty(); }));
    w.run_for(quiet);
  }

  world w;
  peer a = w.make("a"), b = w.make("b");
};

void check_same(const ilm::peer_statistics<std::string>& a,
                const ilm::peer_statistics<std::string>& b) {
  CHECK(a.peer == b.peer);
  CHECK(a.connected == b.connected);
  CHECK(a.outbox_depth == b.outbox_depth);
  CHECK(a.inbox_depth == b.inbox_depth);
  CHECK(a.round_trip == b.round_trip);
  CHECK(a.accepted == b.accepted);
  CHECK(a.delivered == b.delivered);
  CHECK(a.received == b.received);
  CHECK(a.resent == b.resent);
  CHECK(a.duplicates_dropped == b.duplicates_dropped);
  CHECK(a.frames_sent == b.frames_sent);
  CHECK(a.frames_received == b.frames_received);
  CHECK(a.frames_stale == b.frames_stale);
  CHECK(a.frames_rejected == b.frames_rejected);
}

}  // namespace

TEST_CASE("an idle peer costs no work, and stays in the statistics") {
  acquaintances s;
  CHECK(work_within(s.w, 10min) < 10);
  CHECK(names_of(s.a) == 1);
  CHECK(s.a.statistics_of("b").accepted == 3);
  CHECK(s.a.statistics_of("b").delivered == 3);
  CHECK(s.a.statistics_of("b").received == 2);
  CHECK(s.a.statistics_of("b").frames_sent > 0);
  CHECK(s.a.statistics_of("b").round_trip > 0ns);
}

TEST_CASE("the statistics of a peer go on when it wakes") {
  acquaintances s;
  ilm::peer_statistics<std::string> before = s.a.statistics_of("b");
  REQUIRE(all_stored(store_all(s.w, s.a, "b", {"3"})));
  s.w.run_for(10ms);
  ilm::peer_statistics<std::string> after = s.a.statistics_of("b");
  CHECK(after.outbox_depth == 1);
  after.outbox_depth = 0;
  CHECK(after.accepted == 4);
  after.accepted = 3;
  check_same(before, after);
  s.b.start();
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  s.w.run_for(100ms);
  after = s.a.statistics_of("b");
  CHECK(after.delivered == 4);
  CHECK(after.frames_sent > before.frames_sent);
  crash(s.w, s.b);
  s.w.run_for(20s + quiet);
  after = s.a.statistics_of("b");
  CHECK(after.delivered == 4);
  CHECK(after.accepted == 4);
  CHECK(after.received == 2);
  CHECK_FALSE(after.connected);
}

TEST_CASE("a send wakes an idle peer, and its sequence goes on") {
  acquaintances s;
  sends all = store_all(s.w, s.a, "b", {"3", "4"});
  REQUIRE(all_stored(all));
  CHECK(all[0]->sequence == 4);
  s.b.start();
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts() == numbered(5));
}

TEST_CASE("a session wakes an idle peer, and resumes with one hello each way") {
  acquaintances s;
  s.a.events().clear();
  s.b.start();
  s.b.watch();
  store_all(s.w, s.b, "a", {"z"});
  REQUIRE(s.w.until([&] { return empty(s.b) && empty(s.a); }));
  CHECK(s.a.app().texts() == strings{"x", "y", "z"});
  s.w.run_for(1s);
  // Nothing but that it is there again, on either side.
  REQUIRE(s.a.events().size() == 1);
  CHECK(s.a.events().front().kind == event_kind::peer_connected);
  REQUIRE(s.b.events().size() == 1);
  CHECK(s.b.events().front().kind == event_kind::peer_connected);
  CHECK(s.b.app().texts() == numbered(3));
}

TEST_CASE("receipts, and what is undelivered, are known of an idle peer") {
  acquaintances s;
  s.w.run(s.a.wait_delivered("b", 3));
  s.w.run(s.a.wait_delivered("b", 1));
  std::optional<std::error_code> wrong;
  for (std::uint64_t sequence : std::array<std::uint64_t, 2>{0, 4}) {
    wrong.reset();
    (*s.a).wait_delivered("b", sequence, [&](std::error_code e) { wrong = e; });
    s.w.run_for(1ms);
    CHECK(wrong == make_error_code(ilm::error::unknown_sequence));
  }
  ilm::sequence_range left = s.w.run(s.a.undelivered("b"));
  CHECK(left.empty());
  CHECK(left.last == 3);
}

TEST_CASE("a wait for a session with an idle peer ends when it comes") {
  acquaintances s;
  std::optional<std::error_code> ended;
  (*s.a).connected("b", [&](std::error_code e) { ended = e; });
  s.w.run_for(quiet);
  CHECK_FALSE(ended);
  s.b.start();
  REQUIRE(s.w.until([&] { return ended.has_value(); }));
  CHECK(ended == std::error_code());
}

TEST_CASE("an idle peer is forgotten as any other") {
  acquaintances s;
  std::optional<std::error_code> ended;
  ilm::forget_report dropped;
  (*s.a).forget("b", [&](std::error_code e, ilm::forget_report r) { ended = e, dropped = r; });
  s.w.run_for(10ms);
  CHECK(ended == std::error_code());
  CHECK(dropped.undelivered == 0);
  CHECK(dropped.unread == 0);
  CHECK(names_of(s.a) == 0);
  REQUIRE(s.a.count(event_kind::peer_forgotten) == 1);
  CHECK(s.a.find(event_kind::peer_forgotten)->peer == "b");
  CHECK(s.a.find(event_kind::peer_forgotten)->outbound.empty());
  s.b.start();
  store_all(s.w, s.b, "a", {"z"});
  REQUIRE(s.w.until([&] { return empty(s.b); }));
  CHECK(s.a.count(event_kind::store_lost) == 1);
}

TEST_CASE("a shutdown reports idle peers with the others, in order") {
  acquaintances s;
  store_all(s.w, s.a, "c", numbered(2));
  store_all(s.w, s.a, "aa", numbered(1));
  report r = s.w.run(s.a.shutdown(1s));
  REQUIRE(r.peers.size() == 3);
  CHECK(r.peers[0].peer == "aa");
  CHECK(r.peers[0].undelivered == 1);
  CHECK(r.peers[1].peer == "b");
  CHECK(r.peers[1].delivered == 3);
  CHECK(r.peers[1].undelivered == 0);
  CHECK(r.peers[2].peer == "c");
  CHECK(r.delivered == 3);
  CHECK(r.undelivered == 3);
}

TEST_CASE("a send that is refused wakes an idle peer for a while") {
  acquaintances s;
  auto refused = s.a.send("b", std::string(2 << 20, 'x'));
  s.w.run_for(1ms);
  CHECK(refused->error == make_error_code(ilm::error::message_too_large));
  CHECK(work_within(s.w, 10min) < 10);
  CHECK(store_all(s.w, s.a, "b", {"3"})[0]->sequence == 4);
}

TEST_CASE("a peer whose message the application has for long costs no work meanwhile") {
  acquaintances s;
  s.a.app().time = 1h;
  s.b.start();
  store_all(s.w, s.b, "a", {"z"});
  REQUIRE(s.w.until([&] { return s.a.disk().size(ilm::queue::inbox) == 1; }));
  crash(s.w, s.b);
  s.w.run_for(30s);
  CHECK(work_within(s.w, 10min) < 10);
  CHECK(s.a.statistics_of("b").inbox_depth == 1);
  s.w.run_for(1h);
  CHECK(s.a.app().texts() == strings{"x", "y", "z"});
  CHECK(s.a.statistics_of("b").received == 3);
}

TEST_CASE("a peer for which messages wait stays as it is") {
  acquaintances s;
  REQUIRE(all_stored(store_all(s.w, s.a, "b", {"3"})));
  s.w.run_for(1h);
  CHECK(s.a.statistics_of("b").outbox_depth == 1);
  CHECK(s.a.statistics_of("b").oldest_age >= 1h);
  s.b.start();
  REQUIRE(s.w.until([&] { return empty(s.a); }));
}

TEST_CASE("an opened store names its peers before they come, and each life counts anew") {
  acquaintances s;
  crash(s.w, s.a);
  s.a.start();
  s.w.run_for(10ms);
  CHECK(names_of(s.a) == 1);
  check_same(s.a.statistics_of("b"), ilm::peer_statistics<std::string>("b", {}));
  CHECK(s.w.run(s.a.undelivered("b")).last == 3);
  s.w.run(s.a.wait_delivered("b", 3));
  CHECK(store_all(s.w, s.a, "b", {"3"})[0]->sequence == 4);
  s.b.start();
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.a.statistics_of("b").delivered == 1);
}

TEST_CASE("a store that was put back is noticed by an idle peer") {
  acquaintances s;
  store older = s.b.disk().copy();
  s.b.start();
  store_all(s.w, s.b, "a", {"z"});
  store_all(s.w, s.a, "b", {"3"});
  REQUIRE(s.w.until([&] { return empty(s.a) && empty(s.b); }));
  s.w.run_for(100ms);
  crash(s.w, s.b);
  s.w.run_for(20s + quiet);
  s.b.put_back(older);
  s.b.start();
  s.b.watch();
  REQUIRE(s.w.until([&] { return s.a.count(event_kind::peer_rolled_back) == 1; }));
  REQUIRE(s.w.until([&] { return s.b.count(event_kind::rolled_back) == 1; }));
  store_all(s.w, s.a, "b", {"4"});
  REQUIRE(s.w.until([&] { return empty(s.a); }));
  CHECK(s.b.app().texts().back() == "4");
}

namespace {

/// Two peers whose sessions end and begin, so that either is left out of the other's memory again
/// and again; each crashes now and then.
class visitors {
 public:
  explicit visitors(unsigned seed) : random_(seed) {
    for (peer* p : {&a, &b}) p->start();
  }

  void run(int rounds) {
    for (int round = 0; round < rounds; ++round) {
      for (peer* p : {&a, &b}) {
        if (!p->running()) p->start();
      }
      w.run_for(std::chrono::milliseconds(random_() % 200));
      for (std::size_t i = random_() % 3; i > 0; --i) send(a, "b", sent_by_a);
      for (std::size_t i = random_() % 3; i > 0; --i) send(b, "a", sent_by_b);
      w.run_for(std::chrono::milliseconds(random_() % 300));
      crash(w, random_() % 2 == 0 ? a : b);
      w.run_for(random_() % 3 == 0 ? 500ms : 20s);
    }
    for (peer* p : {&a, &b}) {
      if (!p->running()) p->start();
    }
    REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  }

  void send(peer& from, const std::string& to, sends& all) {
    all.push_back(from.send(to, std::to_string(all.size())));
  }

  /// Those that were stored, in order, and perhaps some whose sender crashed before it heard so.
  static void check(const sends& all, const strings& consumed) {
    std::size_t next = 0;
    for (const std::string& text : consumed) {
      std::size_t number = std::stoul(text);
      REQUIRE(number >= next);
      for (; next < number; ++next) CHECK((!all[next]->done || all[next]->error));
      ++next;
    }
    for (; next < all.size(); ++next) CHECK((!all[next]->done || all[next]->error));
  }

  world w;
  peer a = w.make("a"), b = w.make("b");
  sends sent_by_a, sent_by_b;

 private:
  std::mt19937 random_;
};

}  // namespace

TEST_CASE("messages keep their order, and come once, however often peers come and go") {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    visitors v(seed);
    v.run(20);
    visitors::check(v.sent_by_a, v.b.app().texts());
    visitors::check(v.sent_by_b, v.a.app().texts());
  }
}
