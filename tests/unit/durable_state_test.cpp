#include "support/catch.hpp"

#include <ilm/protocol/durable_state.hpp>

#include <string_view>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

constexpr incarnation alice{1, 1}, bob{2, 2}, carol{3, 3};

/// Alice, who has ten messages of bob, of which her application took six: bob knows of four.
cursors at_rest() {
  cursors c;
  c.local = alice;
  c.peer = bob;
  c.outbox_first = 5;
  c.outbox_next = 21;
  c.acknowledged = 8;
  c.erased_epoch = 3;
  c.inbox_first = 7;
  c.inbox_next = 11;
  c.received_epoch = 4;
  c.delivered_epoch = 4;
  c.advertised_first = 5;
  c.advertised_epoch = 2;
  return c;
}

/// The cursors in the store and in memory, with the streams that move some of them.
struct rig {
  explicit rig(const cursors& c = at_rest()) : s(o, false, 4096), r(o), d(c) {
    s.restore(c);
    r.restore(c);
  }

  cursors current() const { return d.current(s, r); }
  durable_state::completed commit() {
    d.begin_commit(current());
    return d.complete_commit();
  }
  void acknowledge(std::uint64_t received) { d.handle_acknowledged(received); }
  void accept(std::uint64_t sequence) {
    static constexpr std::string_view text = "x";
    data_record record;
    record.epoch = 9;
    record.first = sequence;
    record.items.push_back(std::as_bytes(std::span(text)));
    REQUIRE_FALSE(r.handle_data(record));
  }
  /// The application takes so many that an earlier life stored.
  void consume(std::uint64_t count) {
    std::vector<stored_message> page;
    std::uint64_t first = r.next_page()->from;
    for (std::uint64_t i = first; i < first + count; ++i) {
      page.emplace_back(i, i, 4, bytes(std::string_view("x")));
    }
    r.handle_page(page);
    for (; count > 0; --count) r.handle_consumed();
  }
  void adopt(outcome what, bool has_ours, bool as_stored, const incarnation& peer,
             std::uint64_t accepted = 10) {
    reconciliation agreed;
    agreed.result = what;
    agreed.peer_has_our_incarnation = has_ours;
    agreed.peer_is_as_stored = as_stored;
    hello_record theirs;
    theirs.local = peer;
    d.adopt(agreed, theirs, accepted);
  }

  options o;
  sender s;
  receiver r;
  durable_state d;
};

}  // namespace

TEST_CASE("the advertised cursors say delivered as the peer may know it, and nothing else") {
  cursors c = at_rest();
  CHECK(c.delivered() == 6);
  cursors a = advertised(c);
  CHECK(a.delivered() == 4);
  CHECK(a.delivered_epoch == 2);
  a.inbox_first = c.inbox_first;
  a.delivered_epoch = c.delivered_epoch;
  CHECK(a == c);
}

TEST_CASE("a state that was opened is as stored, and its baseline is the advertised one") {
  rig r;
  CHECK(r.current() == at_rest());
  CHECK(r.d.stored() == at_rest());
  CHECK(r.d.baseline_delivered() == 4);
  CHECK(r.d.peer_is_stored());
  CHECK_FALSE(r.d.in_commit());
  CHECK_FALSE(r.d.identity_changed());
  CHECK_FALSE(r.d.cursor_commit_scheduled());
  CHECK(r.d.deadline() == never);
  CHECK(r.d.outbox_next() == 21);
  CHECK(r.d.invariants_hold());
}

TEST_CASE("consumption is advertised only once a session was open") {
  rig r;
  r.consume(2);
  CHECK(r.current().delivered() == 8);
  CHECK(r.current().advertised_first == 5);
  CHECK(r.current().advertised_epoch == 2);
  r.d.handle_session();
  CHECK(r.current().advertised_first == 9);
  CHECK(r.current().advertised_epoch == 4);
}

TEST_CASE("a baseline is taken from the advertised cursors") {
  rig r;
  r.consume(2);
  r.d.set_baseline(r.current());
  CHECK(r.d.baseline_delivered() == 4);
  r.d.handle_session();
  r.d.set_baseline(r.current());
  CHECK(r.d.baseline_delivered() == 8);
}

TEST_CASE("messages that a lost history confirmed stay advertised until more are consumed") {
  rig r;
  r.d.handle_session();
  r.d.advertise(9, 7);
  CHECK(r.current().advertised_first == 9);
  r.consume(1);
  CHECK(r.current().inbox_first == 8);
  CHECK(r.current().advertised_first == 9);
  CHECK(r.current().advertised_epoch == 7);
  r.consume(1);
  CHECK(r.current().advertised_first == 9);
  CHECK(r.current().advertised_epoch == 4);  // as this side has it
  r.consume(1);
  CHECK(r.current().advertised_first == 10);
}

TEST_CASE("acknowledged only grows, and moves no cursor of the store before its commit") {
  rig r;
  r.acknowledge(12);
  r.acknowledge(9);
  CHECK(r.d.acknowledged() == 12);
  CHECK(r.d.stored().acknowledged == 8);
  r.acknowledge(20);
  CHECK(r.d.acknowledged() == 20);
  r.commit();
  CHECK(r.d.stored().acknowledged == 20);
  CHECK(r.d.invariants_hold());
}

TEST_CASE("one change is in commit at a time, and the outbox's end counts with it") {
  rig r;
  cursors next = r.current();
  next.outbox_next += 3;
  r.d.begin_commit(next);
  CHECK(r.d.in_commit());
  CHECK(r.d.outbox_next() == 24);
  CHECK(r.d.stored() == at_rest());
  CHECK(r.current().outbox_next == 21);
  CHECK(r.d.invariants_hold());
  SECTION("it fails") {
    r.d.fail_commit();
    CHECK(r.d.stored() == at_rest());
    CHECK(r.d.outbox_next() == 21);
  }
  SECTION("it is stored") {
    durable_state::completed c = r.d.complete_commit();
    CHECK(c.first_send == 21);
    CHECK_FALSE(c.acks_changed);
    CHECK_FALSE(c.incarnation_changed);
    CHECK(r.d.stored() == next);
    CHECK(r.d.outbox_next() == 24);
  }
  CHECK_FALSE(r.d.in_commit());
  CHECK(r.d.invariants_hold());
}

TEST_CASE("a change tells which of its cursors make an ack news") {
  using field = std::uint64_t cursors::*;
  for (auto [moved, news] : {std::pair<field, bool>{&cursors::inbox_first, true},
                             {&cursors::inbox_next, true},
                             {&cursors::stream_offset, true},
                             {&cursors::advertised_first, true},
                             {&cursors::outbox_first, false},
                             {&cursors::outbox_next, false},
                             {&cursors::acknowledged, false},
                             {&cursors::erased_epoch, false},
                             {&cursors::peer_confirmed_incarnation, false}}) {
    rig r;
    cursors next = at_rest();
    ++(next.*moved);
    r.d.begin_commit(next);
    durable_state::completed c = r.d.complete_commit();
    INFO(&(next.*moved) - &next.former_received);
    CHECK(c.acks_changed == news);
    CHECK_FALSE(c.incarnation_changed);
  }
}

TEST_CASE("an ack is news after the peer's incarnation is stored, and not after this side's") {
  rig r;
  cursors next = at_rest();
  next.peer = carol;
  r.d.begin_commit(next);
  CHECK(r.d.complete_commit().acks_changed);
  next.local = bob;
  r.d.begin_commit(next);
  durable_state::completed c = r.d.complete_commit();
  CHECK_FALSE(c.acks_changed);
  CHECK(c.incarnation_changed);
}

TEST_CASE("a first contact takes the peer's incarnation and remembers no former one") {
  cursors c;
  c.local = alice;
  rig r(c);
  r.adopt(outcome::first_contact, false, false, bob, 0);
  CHECK(r.d.peer() == bob);
  CHECK_FALSE(r.d.peer_is_stored());
  CHECK(r.d.identity_changed());
  CHECK_FALSE(r.current().former_peer);
  CHECK(r.current().peer_confirmed_incarnation == 0);
  CHECK(r.commit().acks_changed);
  CHECK(r.d.peer_is_stored());
  CHECK_FALSE(r.d.identity_changed());
}

TEST_CASE("a peer that was reset is remembered as the former one, with its stream's end") {
  rig r;
  r.d.handle_incarnation_confirmed();
  r.adopt(outcome::peer_reset, false, false, carol, 10);
  cursors now = r.current();
  CHECK(now.peer == carol);
  CHECK(now.former_peer == bob);
  CHECK(now.former_received == 10);
  CHECK(now.acknowledged == 0);
  CHECK(now.peer_confirmed_incarnation == 0);
}

TEST_CASE("a peer that was reset and has this side's incarnation confirms it at once") {
  rig r;
  r.adopt(outcome::peer_reset, true, false, carol, 10);
  CHECK(r.current().peer_confirmed_incarnation == 1);
  CHECK(r.current().former_peer == bob);
}

TEST_CASE("a former peer is remembered until the peer shows that it has this side stored") {
  rig r;
  r.adopt(outcome::peer_reset, false, false, carol, 10);
  r.adopt(outcome::resume, false, true, carol, 0);
  CHECK(r.current().former_peer == bob);
  CHECK(r.current().former_received == 10);
  r.adopt(outcome::resume, true, true, carol, 0);
  CHECK_FALSE(r.current().former_peer);
  CHECK(r.current().former_received == 0);
}

TEST_CASE("a peer that is as stored keeps what it acknowledged and confirmed") {
  rig r;
  r.d.handle_incarnation_confirmed();
  r.adopt(outcome::resume, false, true, bob);
  CHECK(r.d.acknowledged() == 8);
  CHECK(r.current().peer_confirmed_incarnation == 1);
  CHECK_FALSE(r.d.identity_changed());
}

TEST_CASE("a new incarnation has nothing acknowledged or confirmed, and advertises consumption") {
  rig r;
  r.d.handle_incarnation_confirmed();
  r.d.renew_incarnation(carol);
  CHECK(r.d.local() == carol);
  CHECK(r.d.identity_changed());
  cursors now = r.current();
  CHECK(now.local == carol);
  CHECK(now.peer == bob);
  CHECK(now.acknowledged == 0);
  CHECK(now.peer_confirmed_incarnation == 0);
  CHECK(now.advertised_first == 7);
  CHECK(r.commit().incarnation_changed);
  CHECK_FALSE(r.d.identity_changed());
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
  cursors c = at_rest();
  c.outbox_first = 21;
  c.acknowledged = 20;
  c.inbox_first = c.advertised_first = c.stream_start = 11;
  c.peer_confirmed_incarnation = 1;
  CHECK(holds(c));
  for (std::uint64_t cursors::*field :
       {&cursors::outbox_first, &cursors::acknowledged, &cursors::inbox_first,
        &cursors::advertised_first, &cursors::stream_start, &cursors::peer_confirmed_incarnation}) {
    cursors wrong = c;
    ++(wrong.*field);
    CHECK_FALSE(holds(wrong));
  }
  for (std::uint64_t cursors::*field : {&cursors::outbox_first, &cursors::outbox_next,
                                        &cursors::inbox_first, &cursors::inbox_next}) {
    cursors back = at_rest();
    --(back.*field);
    CHECK_FALSE(holds(back));
  }
  cursors nobody = c;
  nobody.local = {};
  CHECK_FALSE(holds(nobody));
}
