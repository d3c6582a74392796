#include "support/catch.hpp"

#include <ilm/protocol/reconcile.hpp>

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

constexpr std::uint64_t open_end = maximum_sequence;

/// The hash of a stream at a sequence; that of another stream.
constexpr stream_hash ours_at(std::uint64_t s) { return {s, 1}; }
constexpr stream_hash peers_at(std::uint64_t s) { return {s, 2}; }
constexpr stream_hash other{99, 99};

/// Where a side stands that went back once: 11 to 20 are in its outbox, of which the peer has
/// received up to 15. It has received 8 of the peer, and its application has taken 5 of these.
cursors some_cursors() {
  cursors c;
  lineage& h = c.history;
  h.mark = {10, 1000};
  h.mark_delivered = 4;
  h.mark_hash = peers_at(4);
  h.confirmed = {9, 900};
  h.confirmed_delivered = 3;
  h.confirmed_hash = peers_at(3);
  h.base = 5;
  h.origin = lineage_origin::rolled_back;
  h.parted = {3, 300};
  h.former = {4, 400};
  h.seen = {7, 70};
  c.outbox.stream = {5, 500};
  c.outbox.first = 11;
  c.outbox.next = 21;
  c.outbox.acknowledged = 15;
  c.outbox.erased_hash = ours_at(10);
  c.outbox.last_hash = ours_at(20);
  c.inbox.stream = {2, 20};
  c.inbox.first = 6;
  c.inbox.next = 9;
  c.inbox.received_hash = peers_at(8);
  c.inbox.delivered_hash = peers_at(5);
  REQUIRE(c.consistent());
  return c;
}

/// The hello of a peer that is in order with these.
hello_record some_hello() {
  hello_record h;
  h.claim.mark = {8, 80};
  h.claim.delivered = 12;
  h.claim.delivered_hash = ours_at(12);
  h.claim.confirmed = {7, 70};
  h.claim.seen = {9, 900};
  h.claim.received = 15;
  h.claim.received_hash = ours_at(15);
  h.claim.acknowledged = 8;
  h.base = 1;
  h.stream = {2, 20};
  h.first = 6;
  h.erased_hash = peers_at(5);
  h.follows = {5, 500};
  return h;
}

/// The state of a side, the hello that it gets, and the hash of its stream at the hello's
/// `received`; `judged` judges.
struct meeting {
  cursors ours = some_cursors();
  hello_record theirs = some_hello();
  std::optional<stream_hash> hash = ours_at(15);

  reconciliation judged() const { return reconcile(ours, theirs, hash); }
  outcome result() const { return judged().result; }
  claim& c() { return theirs.claim; }
  lineage& own() { return ours.history; }
};

using change = std::function<void(meeting&)>;

outcome with(const change& changed) {
  meeting m;
  changed(m);
  return m.result();
}

/// Nothing of the peer is stored: a new store, or one that lost everything.
meeting with_new_store() {
  meeting m;
  m.ours = begin_history(incarnation{1, 2}, {});
  m.theirs.claim = claim();
  m.theirs.claim.mark = {1, 10};
  m.theirs.stream = {1, 10};
  m.theirs.first = 1;
  m.theirs.erased_hash = peers_at(0);
  m.theirs.follows = {};
  m.hash = m.ours.outbox.erased_hash;
  return m;
}

}  // namespace

TEST_CASE("two sides that are in order resume after the last message that the peer received") {
  meeting m;
  reconciliation r = m.judged();
  CHECK(r.result == outcome::resume);
  CHECK(r.opens_session());
  CHECK_FALSE(r.adopts());
  CHECK(r.ground.knows_our_history);
  CHECK(r.ground.follows_our_stream);
  CHECK(r.ground.follows_peers_stream);
  CHECK(r.intact);
  CHECK(r.lookup == 0);
  CHECK_FALSE(r.restarts_stream);
  CHECK(r.send_from == 16);
}

TEST_CASE("a claim that says less of the same history, or all there is, is in order") {
  for (const change& c : std::vector<change>{
           [](meeting& m) {
             m.c().seen = {10, 1000};
           },
           [](meeting& m) {
             m.c().seen = {9, 900};
           },
           // One of this lineage between the two is none that can be compared.
           [](meeting& m) {
             m.c().seen = {8, 800};
           },
           [](meeting& m) {
             m.c().seen = {5, 500};
           },
           [](meeting& m) {
             m.c().confirmed = {6, 60};
           },
           [](meeting& m) { m.c().confirmed = {}; }, [](meeting& m) { m.c().acknowledged = 0; },
           [](meeting& m) {
             m.c().mark = {7, 70};
           },
           [](meeting& m) { m.c().received = 10, m.c().received_hash = *(m.hash = ours_at(10)); },
           [](meeting& m) { m.c().received = 20, m.c().received_hash = *(m.hash = ours_at(20)); },
           [](meeting& m) { m.theirs.base = 7; }}) {
    CHECK(with(c) == outcome::resume);
  }
}

TEST_CASE("a peer that knows a stamp which is not of this history shows that this side went back") {
  // A later one; the same count with other bits, as the newest and as the confirmed one.
  CHECK(with([](meeting& m) { m.c().seen = {11, 1100}; }) == outcome::local_rolled_back);
  CHECK(with([](meeting& m) { m.c().seen = {10, 1001}; }) == outcome::local_rolled_back);
  CHECK(with([](meeting& m) { m.c().seen = {9, 901}; }) == outcome::local_rolled_back);
}

TEST_CASE("a peer that knows this history and follows another stream shows that it went back") {
  auto follows_another = [](stamp seen, stamp stream) {
    return with([&](meeting& m) {
      m.c().seen = seen;
      m.theirs.follows = {5, 501};
      m.ours.outbox.stream = stream;
    });
  };
  CHECK(follows_another({9, 900}, {9, 900}) == outcome::local_rolled_back);
  CHECK(follows_another({8, 800}, {8, 800}) == outcome::local_rolled_back);
  // The stream began after what the peer has stored.
  CHECK(follows_another({8, 800}, {9, 900}) == outcome::resume);
  CHECK(follows_another({9, 900}, {10, 1000}) == outcome::resume);
}

TEST_CASE("a peer that has not adopted this history knows where it left the one before") {
  auto shows = [](stamp seen) {
    return with([&](meeting& m) {
      m.own().confirmed = {};
      m.c().seen = seen;
      m.theirs.follows = {1, 100};
    });
  };
  CHECK(shows({3, 300}) == outcome::resume);  // when the history broke
  CHECK(shows({4, 400}) == outcome::resume);  // the last one of that history
  CHECK(shows({}) == outcome::resume);
  // From before.
  CHECK(shows({2, 200}) == outcome::resume);
  CHECK(shows({1, 100}) == outcome::resume);
  // Of another life of this side.
  CHECK(shows({4, 401}) == outcome::local_rolled_back);
  CHECK(shows({4, 300}) == outcome::local_rolled_back);
}

TEST_CASE("a claim from before the history that the peer has confirmed is only old") {
  auto shows = [](std::uint64_t confirmed) {
    return with([&](meeting& m) {
      m.own().confirmed = {confirmed, 1};
      m.c().seen = {4, 444};
      m.theirs.follows = {1, 100};
    });
  };
  CHECK(shows(3) == outcome::local_rolled_back);
  CHECK(shows(4) == outcome::resume);
  CHECK(shows(5) == outcome::resume);
}

TEST_CASE("a peer with a message beyond the last one shows that this side went back") {
  auto received = [](std::uint64_t s) {
    return with([&](meeting& m) {
      m.c().received = s;
      m.c().received_hash = ours_at(s);
      m.hash = s <= 20 ? std::optional(ours_at(s)) : std::nullopt;
    });
  };
  CHECK(received(20) == outcome::resume);
  CHECK(received(21) == outcome::local_rolled_back);
  CHECK(received(22) == outcome::local_rolled_back);
  // Of another stream it is nothing.
  CHECK(with([](meeting& m) {
          m.c().received = 21;
          m.ours.outbox.stream = {10, 1000};
        }) == outcome::resume);
}

TEST_CASE("a peer with another message of the same number shows that this side went back") {
  auto at = [](std::uint64_t s, const stream_hash& theirs) {
    return with([&](meeting& m) {
      m.c().received = s;
      m.c().received_hash = theirs;
      m.hash = ours_at(s);
    });
  };
  for (std::uint64_t s : {10U, 15U, 20U}) {
    CHECK(at(s, ours_at(s)) == outcome::resume);
    CHECK(at(s, other) == outcome::local_rolled_back);
  }
  // What is erased here cannot be compared.
  CHECK(at(9, other) == outcome::resume);
}

TEST_CASE("a hash that is not in memory is looked up, and nothing is intact before") {
  meeting m;
  m.hash.reset();
  for (std::uint64_t s : {10U, 15U, 20U}) {
    m.c().received = s;
    reconciliation r = m.judged();
    CHECK(r.result == outcome::resume);
    CHECK(r.lookup == s);
    CHECK_FALSE(r.intact);
    CHECK(r.send_from == s + 1);
  }
  m.c().received = 9;
  CHECK(m.judged().lookup == 0);
  CHECK(m.judged().send_from == 11);
  m.c().received = 15;
  m.theirs.follows = {4, 4};
  CHECK(m.judged().lookup == 0);
  CHECK(m.judged().send_from == 11);
  CHECK_FALSE(m.judged().intact);
}

TEST_CASE("a peer that was told of more than is received here shows that this side went back") {
  auto told = [](std::uint64_t s) { return with([&](meeting& m) { m.c().acknowledged = s; }); };
  CHECK(told(8) == outcome::resume);
  CHECK(told(9) == outcome::local_rolled_back);
  // A peer that does not know this history was told by the one before; of another stream, it is
  // nothing.
  CHECK(with([](meeting& m) {
          m.c().acknowledged = 9;
          m.c().seen = {3, 300};
          m.theirs.follows = {1, 100};
        }) == outcome::resume);
  CHECK(with([](meeting& m) {
          m.c().acknowledged = 9;
          m.theirs.stream = {3, 30};
        }) == outcome::resume);
}

TEST_CASE("a new store whose peer was told of messages received is one that was lost") {
  meeting m = with_new_store();
  m.c().seen = m.ours.history.mark;
  m.theirs.follows = m.ours.outbox.stream;
  m.c().received_hash = *m.hash;
  CHECK(m.result() == outcome::first_contact);
  m.c().acknowledged = 1;
  CHECK(m.result() == outcome::local_store_lost);
}

TEST_CASE("a peer that was told of a stamp which is not here shows that this side went back") {
  auto confirmed = [](stamp s) { return with([&](meeting& m) { m.c().confirmed = s; }); };
  CHECK(confirmed({7, 70}) == outcome::resume);
  CHECK(confirmed({6, 61}) == outcome::resume);
  CHECK(confirmed({8, 80}) == outcome::local_rolled_back);
  CHECK(confirmed({7, 71}) == outcome::local_rolled_back);
  // Told by the history before this one.
  CHECK(with([](meeting& m) {
          m.c().confirmed = {8, 80};
          m.c().seen = {3, 300};
          m.theirs.follows = {1, 100};
        }) == outcome::resume);
}

TEST_CASE("a new store that the peer knows nothing of is a first contact") {
  meeting m = with_new_store();
  reconciliation r = m.judged();
  CHECK(r.result == outcome::first_contact);
  CHECK(r.adopts());
  CHECK(r.opens_session());
  CHECK(r.restarts_stream);
  CHECK_FALSE(r.ground.knows_our_history);
  CHECK_FALSE(r.ground.follows_our_stream);
  CHECK(r.send_from == 1);
  CHECK_FALSE(event_of_adoption(m.ours, m.theirs, r));
}

TEST_CASE("a new store whose peer knows an earlier one was lost, by whatever shows it") {
  for (const change& c : std::vector<change>{[](meeting& m) {
                                               m.c().seen = {4, 4};
                                             },
                                             [](meeting& m) {
                                               m.c().seen = {1, 1};
                                             },
                                             [](meeting& m) {
                                               m.c().seen = m.ours.history.mark;
                                               m.theirs.follows = m.ours.outbox.stream;
                                               m.c().received = 1;
                                             },
                                             [](meeting& m) {
                                               m.c().seen = m.ours.history.mark;
                                               m.theirs.follows = m.ours.outbox.stream;
                                               m.c().received_hash = *m.hash;
                                               m.c().confirmed = {1, 10};
                                             }}) {
    meeting m = with_new_store();
    c(m);
    reconciliation r = m.judged();
    CHECK(r.result == outcome::local_store_lost);
    CHECK_FALSE(r.opens_session());
    CHECK_FALSE(r.adopts());
  }
}

TEST_CASE("a peer whose newest stamp is older than the one stored here went back and is shown so") {
  for (const stamp& mark : {stamp{6, 60}, stamp{1, 10}, stamp{7, 71}}) {
    meeting m;
    m.c().mark = mark;
    reconciliation r = m.judged();
    CHECK(r.result == outcome::peer_is_behind);
    CHECK_FALSE(r.breaks());
    CHECK_FALSE(r.opens_session());
    CHECK_FALSE(r.adopts());
  }
  // It began a new history since: there its stamps count on from all that were shown.
  CHECK(with([](meeting& m) {
          m.c().mark = {8, 81}, m.theirs.base = 8;
        }) == outcome::peer_store_lost);
  // What this side lost is told first.
  CHECK(with([](meeting& m) {
          m.c().mark = {6, 60}, m.c().seen = {11, 1100};
        }) == outcome::local_rolled_back);
}

TEST_CASE("a claim of more stamps of this side than any history makes is not believed") {
  for (std::uint64_t count : {plausible_count, maximum_count}) {
    for (const stamp& confirmed : {stamp{7, 70}, stamp{8, 80}}) {
      meeting m;
      m.c().seen = {count, 5};
      m.c().confirmed = confirmed;
      reconciliation r = m.judged();
      CHECK(r.result == outcome::claim_implausible);
      CHECK_FALSE(r.breaks());
      CHECK_FALSE(r.opens_session());
    }
    meeting fresh = with_new_store();
    fresh.c().seen = {count, 5};
    CHECK(fresh.result() == outcome::claim_implausible);
  }
  CHECK(with([](meeting& m) {
          m.c().seen = {plausible_count - 1, 5};
        }) == outcome::local_rolled_back);
  // A history that was brought so far by such claims goes on as any other.
  CHECK(with([](meeting& m) {
          m.own().mark.count = plausible_count + 5;
          m.c().seen = m.own().mark;
        }) == outcome::resume);
}

TEST_CASE("a stamp of the peer that no history comes to gives way to a lower one") {
  auto stored = [](std::uint64_t count, const stamp& mark) {
    return with([&](meeting& m) {
      m.own().seen = {count, 5};
      m.c().mark = mark;
      m.theirs.origin = lineage_origin::rolled_back;
    });
  };
  CHECK(stored(plausible_count - 1, {8, 80}) == outcome::peer_is_behind);
  CHECK(stored(plausible_count, {8, 80}) == outcome::peer_rolled_back);
  CHECK(stored(maximum_count, {8, 80}) == outcome::peer_rolled_back);
  CHECK(stored(maximum_count, {maximum_count, 5}) == outcome::resume);
  CHECK(stored(maximum_count, {maximum_count, 6}) == outcome::peer_is_behind);
}

TEST_CASE("a peer whose history began behind what is stored of it is adopted, by its origin") {
  auto began = [](std::uint64_t base, lineage_origin origin) {
    return with([&](meeting& m) {
      m.c().mark = {12, 120};
      m.theirs.base = base;
      m.theirs.origin = origin;
    });
  };
  for (lineage_origin o :
       {lineage_origin::created, lineage_origin::store_lost, lineage_origin::rolled_back}) {
    CHECK(began(7, o) == outcome::resume);
    CHECK(began(8, o) == (o == lineage_origin::rolled_back ? outcome::peer_rolled_back
                                                           : outcome::peer_store_lost));
  }
}

TEST_CASE("this side's own return comes before the peer's") {
  meeting m;
  m.c().mark = {12, 120};
  m.theirs.base = 8;
  m.c().seen = {11, 1100};
  CHECK(m.result() == outcome::local_rolled_back);
}

TEST_CASE("the event of a side that went back names all that was not confirmed") {
  meeting m;
  m.c().acknowledged = 9;
  reconciliation r = m.judged();
  REQUIRE(r.intact);
  event_record e = event_of_own_loss(m.ours, m.theirs, r);
  CHECK(e.kind == event_kind::rolled_back);
  CHECK(e.outbound == sequence_range{11, open_end});
  CHECK(e.inbound == sequence_range{4, open_end});
}

TEST_CASE("if the peer follows a stream of another life, all is named") {
  meeting m;
  m.c().received_hash = other;
  CHECK(event_of_own_loss(m.ours, m.theirs, m.judged()).outbound == sequence_range{11, open_end});
  m.theirs.follows = {8, 8};
  m.c().seen = {11, 1100};
  CHECK(event_of_own_loss(m.ours, m.theirs, m.judged()).outbound == sequence_range{1, open_end});
  m.theirs.follows = {};
  CHECK(event_of_own_loss(m.ours, m.theirs, m.judged()).outbound == sequence_range{11, open_end});
}

TEST_CASE("the event of a lost store names everything") {
  meeting m = with_new_store();
  m.c().seen = {4, 4};
  m.theirs.follows = {1, 1};
  event_record e = event_of_own_loss(m.ours, m.theirs, m.judged());
  CHECK(e.kind == event_kind::store_lost);
  CHECK(e.outbound == sequence_range{1, open_end});
  CHECK(e.inbound == sequence_range{1, open_end});
}

TEST_CASE("the event of a peer that began anew names what it may not have and will not send") {
  meeting m;
  m.c().mark = {12, 120};
  m.theirs.base = 8;
  for (bool rolled_back : {false, true}) {
    m.theirs.origin = rolled_back ? lineage_origin::rolled_back : lineage_origin::store_lost;
    for (std::uint64_t delivered : {6U, 10U, 12U}) {
      m.c().delivered = delivered;
      std::optional<event_record> e = event_of_adoption(m.ours, m.theirs, m.judged());
      REQUIRE(e);
      CHECK(e->kind == (rolled_back ? event_kind::peer_rolled_back : event_kind::peer_reset));
      // What was erased here because a lost history had confirmed it is named as well.
      CHECK(e->outbound == sequence_range{delivered == 6 ? 7U : 11U, 20});
      CHECK(e->inbound == sequence_range{9, open_end});
    }
  }
}

TEST_CASE("of a stream that is replaced, all that the new one does not repeat is named") {
  meeting m;
  m.c().mark = {12, 120};
  m.theirs.base = 8;
  m.theirs.stream = {8, 81};
  for (std::uint64_t first : {3U, 9U, 12U}) {
    m.theirs.first = first;
    reconciliation r = m.judged();
    REQUIRE(r.restarts_stream);
    INFO(first);
    // The new stream's numbers from its first one on; of the old one, whatever did not arrive.
    std::uint64_t named = first == 3 ? 3 : 9;
    CHECK(event_of_adoption(m.ours, m.theirs, r)->inbound == sequence_range{named, open_end});
  }
}

TEST_CASE("a history that breaks begins behind all that anybody has seen of the one before") {
  struct row {
    std::uint64_t mark, seen, in_commit, base;
  };
  for (const row& r : {row{10, 11, 0, 12}, row{10, 9, 0, 11}, row{10, 9, 11, 12},
                       row{10, 30, 11, 31}, row{10, 3, 10, 11}}) {
    meeting m;
    m.own().mark.count = r.mark;
    m.c().acknowledged = 9;  // so that it did go back
    m.c().seen = {r.seen, 5};
    reconciliation v = m.judged();
    m.theirs.claim.seen = {r.seen, 5};
    if (v.opens_session()) v.result = outcome::local_rolled_back;
    break_history(m.ours, m.theirs, v, r.in_commit, 77);
    CHECK(m.own().base == r.base);
    CHECK(m.own().mark == stamp{r.base, 77});
    CHECK(m.own().parted == stamp{r.seen, 5});
    CHECK(m.own().former == stamp{10, 1000});
    CHECK(m.own().origin == lineage_origin::rolled_back);
  }
}

TEST_CASE("a history that breaks says again what the last confirmed stamp said") {
  meeting m;
  m.c().acknowledged = 9;
  reconciliation r = m.judged();
  REQUIRE(r.intact);
  cursors before = m.ours;
  break_history(m.ours, m.theirs, r, 0, 77);
  CHECK(m.own().mark_delivered == 3);
  CHECK(m.own().mark_hash == peers_at(3));
  CHECK(m.own().confirmed == before.history.confirmed);
  CHECK(m.own().seen == before.history.seen);
  // The peer has the same messages: the stream goes on.
  CHECK(m.ours.outbox == before.outbox);
  CHECK(m.ours.inbox == before.inbox);
  CHECK(m.ours.consistent());
}

TEST_CASE("a history that breaks where the peer has other messages begins a new stream") {
  meeting m;
  m.c().received_hash = other;
  cursors before = m.ours;
  break_history(m.ours, m.theirs, m.judged(), 0, 77);
  CHECK(m.ours.outbox.stream == m.own().mark);
  CHECK(m.ours.outbox.acknowledged == 0);
  CHECK(m.ours.outbox.first == before.outbox.first);
  CHECK(m.ours.outbox.next == before.outbox.next);
  CHECK(m.ours.consistent());
}

TEST_CASE("a lost store's history is marked as such") {
  meeting m = with_new_store();
  m.c().seen = {4, 4};
  break_history(m.ours, m.theirs, m.judged(), 0, 77);
  CHECK(m.own().origin == lineage_origin::store_lost);
  CHECK(m.own().base == 5);
  CHECK(m.ours.outbox.stream == stamp{5, 77});
  CHECK(m.ours.consistent());
}

TEST_CASE("a side whose history broke is told of no second return by the same claim") {
  for (const change& c : std::vector<change>{[](meeting& m) {
                                               m.c().seen = {11, 1100};
                                             },
                                             [](meeting& m) {
                                               m.c().seen = {10, 1};
                                             },
                                             [](meeting& m) {
                                               m.c().seen = {9, 1};
                                             },
                                             [](meeting& m) { m.c().received_hash = other; },
                                             [](meeting& m) { m.c().received = 21; },
                                             [](meeting& m) { m.c().acknowledged = 9; },
                                             [](meeting& m) {
                                               m.c().confirmed = {8, 80};
                                             },
                                             [](meeting& m) {
                                               m.c().confirmed = {7, 71};
                                             }}) {
    meeting m;
    c(m);
    REQUIRE(m.result() == outcome::local_rolled_back);
    break_history(m.ours, m.theirs, m.judged(), 0, 77);
    CHECK(m.result() == outcome::resume);
    CHECK_FALSE(m.judged().ground.knows_our_history);
  }
}

TEST_CASE("a peer that adopts a history knows no more than that there is one") {
  meeting m;
  m.c().mark = {12, 120};
  m.theirs.base = 8;
  cursors before = m.ours;
  adopt_history(m.ours, m.theirs, m.judged());
  CHECK(m.own().seen == stamp{12, 120});
  CHECK_FALSE(m.own().confirmed);
  CHECK(m.ours.outbox.acknowledged == 0);
  CHECK(m.own().mark == before.history.mark);
  CHECK(m.own().mark_delivered == 4);
  CHECK(m.own().confirmed_delivered == 3);
  CHECK(m.ours.inbox == before.inbox);
  CHECK(m.ours.consistent());
  // It resumes with the same claim from then on.
  CHECK(m.result() == outcome::resume);
}

TEST_CASE("a peer that adopts another stream has delivered what was confirmed of it before") {
  meeting m;
  m.c().mark = {12, 120};
  m.theirs.base = 8;
  m.theirs.stream = {8, 81};
  m.theirs.first = GENERATE(2U, 4U, 7U);
  m.theirs.erased_hash = other;
  adopt_history(m.ours, m.theirs, m.judged());
  CHECK(m.ours.inbox.stream == stamp{8, 81});
  CHECK(m.own().mark_delivered == m.theirs.first - 1);
  CHECK(m.own().confirmed_delivered == m.theirs.first - 1);
  CHECK(m.own().mark_hash == other);
  CHECK(m.own().confirmed_hash == other);
}

TEST_CASE(
    "a stamp is made for news, once the peer has the last one, and says how far this side is") {
  auto made = [](bool accepted, const change& c) {
    meeting m;
    m.own().confirmed = m.own().mark;
    m.own().mark_delivered = 5;
    c(m);
    if (!stamp_due(m.ours, accepted)) return false;
    stamp before = m.own().mark;
    make_stamp(m.ours, 77);
    CHECK(m.own().mark == stamp{11, 77});
    CHECK(m.own().mark_delivered == 5);
    CHECK(m.own().mark_hash == peers_at(5));
    CHECK(m.own().confirmed == before);
    return true;
  };
  CHECK_FALSE(made(false, [](meeting&) {}));
  CHECK(made(false, [](meeting& m) { m.own().mark_delivered = 4; }));
  CHECK(made(true, [](meeting&) {}));
  for (stamp confirmed : {stamp{9, 900}, stamp{10, 1001}, stamp{}}) {
    CHECK_FALSE(made(true, [&](meeting& m) {
      m.own().mark_delivered = 4;
      m.own().confirmed = confirmed;
    }));
  }
}

TEST_CASE("a claim confirms the newest stamp only, and by its bits") {
  auto confirmed = [](stamp seen) {
    meeting m;
    m.c().seen = seen;
    apply_stamps(m.own(), m.c(), 1);
    bool taken = m.own().confirmed == m.own().mark;
    CHECK(m.own().confirmed_delivered == (taken ? 4U : 3U));
    CHECK(m.own().confirmed_hash == peers_at(taken ? 4 : 3));
    return taken;
  };
  CHECK(confirmed({10, 1000}));
  CHECK_FALSE(confirmed({10, 1001}));
  CHECK_FALSE(confirmed({9, 900}));
  CHECK_FALSE(confirmed({}));
}

TEST_CASE("a stamp that was confirmed keeps what it said when it was") {
  meeting m;
  m.own().confirmed = m.own().mark;
  m.c().seen = m.own().mark;
  m.own().mark_delivered = 5;
  apply_stamps(m.own(), m.c(), 1);
  CHECK(m.own().confirmed_delivered == 3);
}

TEST_CASE("the peer's newest stamp only grows, within a history that was adopted") {
  auto seen = [](stamp mark, std::uint64_t base) {
    meeting m;
    m.c().mark = mark;
    apply_stamps(m.own(), m.c(), base);
    return m.own().seen;
  };
  CHECK(seen({8, 80}, 1) == stamp{8, 80});
  CHECK(seen({9, 90}, 7) == stamp{9, 90});
  CHECK(seen({9, 90}, 8) == stamp{7, 70});
  CHECK(seen({7, 71}, 1) == stamp{7, 70});
  CHECK(seen({6, 60}, 1) == stamp{7, 70});
}

TEST_CASE("a history that nothing is stored of is the same each time, and another for another") {
  auto begun = [](incarnation store, std::string_view peer) {
    cursors c = begin_history(store, std::as_bytes(std::span(peer)));
    CHECK(c.consistent());
    CHECK_FALSE(c.met());
    CHECK(c.history.mark.count == 1);
    CHECK(c.outbox.stream == c.history.mark);
    CHECK(c.outbox.erased_hash == c.outbox.last_hash);
    return c;
  };
  CHECK(begun({1, 2}, "a") == begun({1, 2}, "a"));
  std::vector<cursors> all = {begun({1, 2}, "a"), begun({1, 2}, "b"), begun({2, 1}, "a"),
                              begun({1, 3}, "a"), begun({1, 2}, "")};
  for (std::size_t i = 0; i < all.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      CHECK(all[i].history.mark != all[j].history.mark);
      CHECK(all[i].outbox.last_hash != all[j].outbox.last_hash);
    }
  }
}
