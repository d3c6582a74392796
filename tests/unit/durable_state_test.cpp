#include "support/catch.hpp"

#include <ilm/protocol/durable_state.hpp>

#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

constexpr std::string_view text = "x";

/// The hash of a stream whose messages are all the same text.
stream_hash hash_at(std::uint64_t sequence) {
  stream_hash h;
  for (std::uint64_t s = 1; s <= sequence; ++s) h = extend(h, s, 0, std::as_bytes(std::span(text)));
  return h;
}

/// A side that has ten messages of its peer, of which its application took six: the last stamp
/// tells of five, and the peer knows of four.
cursors at_rest() {
  cursors c;
  lineage& h = c.history;
  h.mark = {10, 1000};
  h.mark_delivered = 5;
  h.mark_hash = hash_at(5);
  h.confirmed = {9, 900};
  h.confirmed_delivered = 4;
  h.confirmed_hash = hash_at(4);
  h.base = 1;
  h.seen = {7, 70};
  c.outbox.stream = {1, 100};
  c.outbox.first = 5;
  c.outbox.next = 21;
  c.outbox.acknowledged = 8;
  c.outbox.erased_hash = {4, 4};
  c.outbox.last_hash = {20, 20};
  c.inbox.stream = {1, 10};
  c.inbox.first = 7;
  c.inbox.next = 11;
  c.inbox.received_hash = hash_at(10);
  c.inbox.delivered_hash = hash_at(6);
  return c;
}

/// A hello of the peer that is in order with it.
hello_record some_hello() {
  hello_record h;
  h.claim.mark = {8, 80};
  h.claim.confirmed = {7, 70};
  h.claim.seen = {9, 900};
  h.claim.received = 8;
  h.base = 1;
  h.stream = {1, 10};
  h.first = 5;
  h.follows = {1, 100};
  return h;
}

/// The cursors in the store and in memory, with the streams that move some of them.
struct rig {
  explicit rig(const cursors& c = at_rest()) : s(o, false, 4096), r(o), d(c) {
    s.restore(c.outbox);
    r.restore(c.inbox);
  }

  cursors current() const { return d.current(s, r); }
  durable_state::completed commit() {
    cursors next = current();
    if (stamp_due(next, d.accepted())) make_stamp(next, 77);
    d.begin_commit(next);
    return d.complete_commit();
  }
  void acknowledge(std::uint64_t received) {
    claim c;
    c.received = received;
    d.handle_claim(c, true);
  }
  /// The peer has this side's last stamp.
  void confirm() {
    claim c;
    c.seen = d.stored().history.mark;
    d.handle_claim(c, true);
  }
  void accept(std::uint64_t sequence) {
    data_record record;
    record.first = sequence;
    record.before = hash_at(sequence - 1);
    record.items.emplace_back(std::as_bytes(std::span(text)));
    REQUIRE_FALSE(r.handle_data(record));
  }
  /// The application takes so many that an earlier life stored.
  void consume(std::uint64_t count) {
    std::vector<stored_message> page;
    std::uint64_t first = r.next_page()->from;
    for (std::uint64_t i = first; i < first + count; ++i) {
      page.emplace_back(i, i, 0, hash_at(i), bytes(text));
    }
    r.handle_page(page);
    for (; count > 0; --count) r.handle_consumed();
  }
  reconciliation judge(const hello_record& theirs) const {
    return reconcile(current(), theirs, theirs.claim.received_hash);
  }
  void open(const hello_record& theirs) { d.handle_session(theirs, judge(theirs)); }

  options o;
  sender s;
  receiver r;
  durable_state d;
};

/// Of a peer whose history began anew.
hello_record hello_of_new_history() {
  hello_record h = some_hello();
  h.claim.mark = {8, 88};
  h.base = 8;
  h.origin = lineage_origin::rolled_back;
  return h;
}

}  // namespace

TEST_CASE("a state that was opened is as stored") {
  rig r;
  CHECK(r.current() == at_rest());
  CHECK(r.d.stored() == at_rest());
  CHECK(r.d.met());
  CHECK(r.d.peer_is_stored());
  CHECK(r.d.history_is_stored());
  CHECK_FALSE(r.d.in_commit());
  CHECK_FALSE(r.d.identity_changed());
  CHECK_FALSE(r.d.may_tell());
  CHECK(r.d.told_delivered() == 5);
  CHECK(r.d.seen_is_stored());
  CHECK_FALSE(r.d.cursor_commit_scheduled());
  CHECK(r.d.deadline() == never);
  CHECK(r.d.outbox_next() == 21);
  CHECK(r.d.invariants_hold());
}

TEST_CASE(
    "what the application took moves the cursors at once, and the stamp that tells it waits") {
  rig r;
  r.consume(2);
  CHECK(r.current().inbox.delivered() == 8);
  CHECK(r.current().inbox.delivered_hash == hash_at(8));
  CHECK(r.current().history == at_rest().history);
  r.commit();
  // The peer has not confirmed the stamp before.
  CHECK(r.d.stored().history == at_rest().history);
  r.confirm();
  CHECK(r.d.may_tell());
  r.commit();
  CHECK(r.d.stored().history.mark == stamp{11, 77});
  CHECK(r.d.stored().history.mark_delivered == 8);
  CHECK(r.d.stored().history.mark_hash == hash_at(8));
  CHECK(r.d.stored().history.confirmed == stamp{10, 1000});
  CHECK(r.d.told_delivered() == 8);
  CHECK_FALSE(r.d.may_tell());
}

TEST_CASE("acknowledged only grows, and moves no cursor of the store before its commit") {
  rig r;
  r.acknowledge(12);
  r.acknowledge(9);
  CHECK(r.d.acknowledged() == 12);
  CHECK(r.d.stored().outbox.acknowledged == 8);
  r.acknowledge(20);
  CHECK(r.d.acknowledged() == 20);
  r.commit();
  CHECK(r.d.stored().outbox.acknowledged == 20);
  CHECK(r.d.invariants_hold());
}

TEST_CASE("what a peer received of another stream is no acknowledgement") {
  rig r;
  claim c;
  c.received = 12;
  c.mark = {8, 80};
  r.open(some_hello());
  r.d.handle_claim(c, false);
  CHECK(r.d.acknowledged() == 8);
  CHECK(r.d.seen() == stamp{8, 80});
  CHECK_FALSE(r.d.seen_is_stored());
}

TEST_CASE("one change is in commit at a time, and the outbox's end counts with it") {
  rig r;
  cursors next = r.current();
  next.outbox.next += 3;
  r.d.begin_commit(next);
  CHECK(r.d.in_commit());
  CHECK(r.d.outbox_next() == 24);
  CHECK(r.d.stored() == at_rest());
  CHECK(r.current().outbox.next == 21);
  CHECK(r.d.invariants_hold());
  SECTION("it fails") {
    r.d.fail_commit();
    CHECK(r.d.stored() == at_rest());
    CHECK(r.d.outbox_next() == 21);
  }
  SECTION("it is stored") {
    durable_state::completed c = r.d.complete_commit();
    CHECK(c.first_send == 21);
    CHECK_FALSE(c.claim_changed);
    CHECK(r.d.stored() == next);
    CHECK(r.d.outbox_next() == 24);
  }
  CHECK_FALSE(r.d.in_commit());
  CHECK(r.d.invariants_hold());
}

TEST_CASE("a change tells which of its cursors make an ack news") {
  using change = void (*)(cursors&);
  for (auto [moved, news] : {
           std::pair<change, bool>{[](cursors& c) { ++c.inbox.next; }, true},
           {[](cursors& c) { ++c.inbox.offset; }, true},
           {[](cursors& c) {
              c.inbox.stream = {8, 8};
            },
            true},
           {[](cursors& c) {
              c.history.mark = {11, 1};
            },
            true},
           {[](cursors& c) {
              c.history.seen = {8, 80};
            },
            true},
           {[](cursors& c) { ++c.inbox.first; }, false},
           {[](cursors& c) { ++c.outbox.first; }, false},
           {[](cursors& c) { ++c.outbox.next; }, false},
           {[](cursors& c) { ++c.outbox.acknowledged; }, false},
           {[](cursors& c) { c.history.confirmed = c.history.mark; }, false},
       }) {
    rig r;
    cursors next = at_rest();
    moved(next);
    r.d.begin_commit(next);
    CHECK(r.d.complete_commit().claim_changed == news);
  }
}

TEST_CASE("a stamp that was made for a change is the present one once that is stored, not before") {
  rig r;
  r.confirm();
  r.consume(1);
  cursors next = r.current();
  make_stamp(next, 77);
  REQUIRE(next.history.mark == stamp{11, 77});
  r.d.begin_commit(next);
  CHECK(r.current().history.mark == stamp{10, 1000});
  SECTION("it is stored") {
    r.d.complete_commit();
    CHECK(r.current().history.mark == stamp{11, 77});
    CHECK(r.current().history.mark_delivered == 7);
  }
  SECTION("it fails: no one was told of it") {
    r.d.fail_commit();
    CHECK(r.current().history.mark == stamp{10, 1000});
    CHECK(r.d.may_tell());
  }
  SECTION("the peer's stream became another one meanwhile") {
    hello_record theirs = hello_of_new_history();
    theirs.stream = {8, 88};
    theirs.first = 3;
    r.open(theirs);
    r.r.adopt(3, {});
    SECTION("and stays so") {
      r.d.complete_commit();
      CHECK(r.current().history.mark == stamp{11, 77});
      CHECK(r.current().history.mark_delivered == 2);  // of the new stream
    }
    SECTION("and again one of the first name") {
      theirs.claim.mark.count += 10;
      theirs.base = theirs.claim.mark.count;
      theirs.stream = at_rest().inbox.stream;
      theirs.first = 2;
      r.open(theirs);
      r.r.adopt(2, {});
      r.d.complete_commit();
      CHECK(r.current().history.mark == stamp{11, 77});
      CHECK(r.current().history.mark_delivered == 1);
      CHECK(r.current().consistent());
    }
  }
}

TEST_CASE("messages of a change without a stamp are news until a stamp tells of them") {
  rig g;
  g.confirm();
  REQUIRE(g.commit().claim_changed);
  REQUIRE_FALSE(g.d.accepted());
  // The stamp is not confirmed yet: a change with a message makes none.
  cursors next = g.current();
  REQUIRE_FALSE(stamp_due(next, true));
  next.outbox.next += 1;
  g.d.begin_commit(next);
  g.d.complete_commit();
  CHECK(g.d.accepted());
  std::vector<submission> sent;
  sent.emplace_back(send_id{}, payload());
  g.s.handle_committed(21, sent);
  g.confirm();
  REQUIRE(g.commit().claim_changed);
  CHECK_FALSE(g.d.accepted());
}

TEST_CASE("a peer whose newest stamp is a lower one is not stored before that is") {
  rig g;
  hello_record h = some_hello();
  h.claim.mark = {5, 50};
  h.claim.confirmed = {5, 50};
  h.base = 3;
  reconciliation r;
  r.result = outcome::peer_rolled_back;
  r.ground = common_ground::of(g.current(), h);
  REQUIRE(r.adopts());
  g.d.handle_session(h, r);
  REQUIRE(g.d.seen() == stamp{5, 50});
  CHECK_FALSE(g.d.peer_is_stored());
  g.commit();
  CHECK(g.d.peer_is_stored());
}

TEST_CASE("a first contact takes the peer's newest stamp and its stream") {
  rig r(begin_history(incarnation{1, 2}, {}));
  CHECK_FALSE(r.d.met());
  CHECK_FALSE(r.d.peer_is_stored());
  CHECK_FALSE(r.d.identity_changed());
  hello_record theirs = some_hello();
  theirs.claim = claim();
  theirs.claim.mark = {8, 80};
  theirs.follows = {};
  theirs.first = 1;
  r.open(theirs);
  CHECK(r.d.met());
  CHECK(r.d.identity_changed());
  CHECK_FALSE(r.d.peer_is_stored());
  CHECK(r.current().history.seen == stamp{8, 80});
  CHECK(r.current().inbox.stream == stamp{1, 10});
  CHECK(r.commit().claim_changed);
  CHECK(r.d.peer_is_stored());
  CHECK_FALSE(r.d.identity_changed());
}

TEST_CASE("a peer whose history began anew has confirmed and acknowledged nothing of this one") {
  rig r;
  r.confirm();
  hello_record theirs = hello_of_new_history();
  REQUIRE(r.judge(theirs).result == outcome::peer_rolled_back);
  r.open(theirs);
  cursors now = r.current();
  CHECK(now.history.seen == stamp{8, 88});
  CHECK_FALSE(now.history.confirmed);
  CHECK(now.outbox.acknowledged == 0);
  CHECK(now.history.mark == at_rest().history.mark);
  CHECK(r.d.identity_changed());
  CHECK_FALSE(r.d.peer_is_stored());
  r.commit();
  CHECK(r.d.peer_is_stored());
}

TEST_CASE("a peer in order changes nothing by its hello alone") {
  rig r;
  r.open(some_hello());
  CHECK(r.current() == at_rest());
  CHECK(r.d.peer_is_stored());
  CHECK_FALSE(r.d.identity_changed());
}

TEST_CASE("a peer that no longer holds what is missing here is not stored before the gap is") {
  for (std::uint64_t first : {11U, 12U, 15U}) {
    rig r;
    hello_record theirs = some_hello();
    theirs.first = first;
    r.open(theirs);
    INFO(first);
    CHECK(r.d.peer_is_stored() == (first == 11));
    CHECK(r.d.identity_changed() == (first != 11));
    r.r.adopt(first, {});
    if (first != 11) r.commit();
    CHECK(r.d.peer_is_stored());
    CHECK_FALSE(r.d.identity_changed());
  }
}

TEST_CASE("the peer's stamps count from where the history began that its hello told of") {
  rig r;
  claim c;
  c.mark = {9, 90};
  hello_record theirs = some_hello();
  theirs.base = 8;  // as if it was adopted, which the caller did not
  reconciliation resumes;
  r.d.handle_session(theirs, resumes);
  r.d.handle_claim(c, true);
  CHECK(r.d.seen() == stamp{7, 70});
  theirs.base = 7;
  r.d.handle_session(theirs, resumes);
  r.d.handle_claim(c, true);
  CHECK(r.d.seen() == stamp{9, 90});
}

TEST_CASE("a side that went back has a new history in memory, until the store has it") {
  rig r;
  r.consume(2);
  hello_record theirs = some_hello();
  theirs.claim.acknowledged = 11;
  reconciliation v = r.judge(theirs);
  REQUIRE(v.result == outcome::local_rolled_back);
  r.d.handle_loss(r.current(), theirs, v, 55);
  CHECK_FALSE(r.d.history_is_stored());
  CHECK(r.d.identity_changed());
  cursors now = r.current();
  CHECK(now.history.mark == stamp{11, 55});
  CHECK(now.history.base == 11);
  CHECK(now.history.mark_delivered == 4);
  CHECK(now.inbox.delivered() == 8);
  CHECK(r.d.stored() == at_rest());
  CHECK(r.commit().claim_changed);
  CHECK(r.d.history_is_stored());
  CHECK_FALSE(r.d.identity_changed());
  CHECK(r.d.invariants_hold());
}

TEST_CASE("a history that breaks while a stamp is in commit begins behind that stamp") {
  for (bool fails : {false, true}) {
    rig r;
    r.confirm();
    r.consume(1);
    cursors next = r.current();
    make_stamp(next, 77);
    r.d.begin_commit(next);
    hello_record theirs = some_hello();
    theirs.claim.acknowledged = 11;
    r.d.handle_loss(r.current(), theirs, r.judge(theirs), 55);
    if (fails) r.d.fail_commit();
    if (!fails) r.d.complete_commit();
    CHECK_FALSE(r.d.history_is_stored());
    CHECK(r.current().history.mark == stamp{12, 55});
    CHECK(r.current().history.base == 12);
    r.commit();
    CHECK(r.d.history_is_stored());
    CHECK(r.d.stored().history.base == 12);
    CHECK(r.d.invariants_hold());
  }
}

TEST_CASE("cursors that did not move schedule no commit") {
  rig r;
  r.d.schedule_cursor_commit(5ms, r.current());
  CHECK_FALSE(r.d.cursor_commit_scheduled());
  CHECK(r.d.deadline() == never);
  r.acknowledge(9);
  r.d.schedule_cursor_commit(5ms, r.current());
  CHECK(r.d.cursor_commit_scheduled());
  CHECK(r.d.deadline() == 5ms);
}

TEST_CASE("a commit of cursors is due to the nanosecond, and its moment is named until it passed") {
  rig r;
  r.acknowledge(9);
  r.d.schedule_cursor_commit(5ms, r.current());
  CHECK_FALSE(r.d.cursor_commit_due(5ms - 1ns));
  CHECK(r.d.cursor_commit_due(5ms));
  r.d.handle_timeout(5ms - 1ns);
  CHECK(r.d.deadline() == 5ms);
  r.d.handle_timeout(5ms);
  CHECK(r.d.deadline() == never);
  CHECK(r.d.cursor_commit_due(0s));
  CHECK(r.d.cursor_commit_scheduled());
  r.d.cancel_cursor_commit();
  CHECK_FALSE(r.d.cursor_commit_due(1h));
  CHECK_FALSE(r.d.cursor_commit_scheduled());
}

TEST_CASE("a commit takes the scheduled cursors with it, and hides deadlines while it runs") {
  rig r;
  r.acknowledge(9);
  r.d.schedule_cursor_commit(5ms, r.current());
  r.d.begin_commit(r.current());
  CHECK_FALSE(r.d.cursor_commit_scheduled());
  r.acknowledge(10);
  r.d.schedule_cursor_commit(7ms, r.current());
  CHECK(r.d.deadline() == never);
  CHECK(r.d.cursor_commit_scheduled());
  r.d.complete_commit();
  CHECK(r.d.deadline() == 7ms);
}

TEST_CASE("the invariants of the cursors hold at their bounds, and not beyond") {
  auto holds = [](const cursors& c) {
    durable_state d(at_rest());
    d.begin_commit(c);
    return d.invariants_hold();
  };
  using change = void (*)(cursors&);
  for (change c : {change([](cursors& x) { x.outbox.first = 21; }),
                   change([](cursors& x) { x.outbox.acknowledged = 20; }),
                   change([](cursors& x) { x.inbox.first = x.inbox.start = 11; }),
                   change([](cursors& x) { x.history.mark.count = 11; })}) {
    cursors next = at_rest();
    c(next);
    CHECK(holds(next));
  }
  for (change c :
       {change([](cursors& x) { x.outbox.first = 22; }),
        change([](cursors& x) { x.outbox.acknowledged = 21; }),
        change([](cursors& x) { x.inbox.first = 12; }),
        change([](cursors& x) { x.inbox.start = 12; }),
        change([](cursors& x) { --x.outbox.first; }), change([](cursors& x) { --x.outbox.next; }),
        change([](cursors& x) { --x.inbox.first; }), change([](cursors& x) { --x.inbox.next; }),
        change([](cursors& x) { x.history.mark.count = 9; }),
        change([](cursors& x) { x.history.mark = {}; })}) {
    cursors next = at_rest();
    c(next);
    CHECK_FALSE(holds(next));
  }
}
