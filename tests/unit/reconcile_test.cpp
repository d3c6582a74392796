#include "support/catch.hpp"

#include <ilm/protocol/reconcile.hpp>

#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

constexpr incarnation alice{1, 0}, bob{2, 0}, other{3, 0};

/// One side of a pair: `local` talks to `peer`; no message of its inbox lies in another stream.
struct side {
  cursors c;

  watermarks marks() const { return {c.acknowledged, c.received(), c.outbox_first - 1}; }
  hello_record hello() const {
    hello_record h;
    h.local = c.local;
    h.peer = c.peer;
    h.first = c.outbox_first;
    h.next = c.outbox_next;
    h.acknowledged = c.acknowledged;
    h.received = c.received();
    h.delivered = c.delivered();
    return h;
  }
};

/// A reconciliation, and both comparisons of which the outcome names the first only.
struct result : reconciliation {
  bool we_rolled_back = false, peer_rolled_back = false;

  bool is(outcome o) const { return reconciliation::result == o; }
};

result reconciled(const cursors& ours, const watermarks& at_nonce, const hello_record& theirs) {
  local_view here;
  here.ours = ours;
  here.at_nonce = at_nonce;
  result r;
  static_cast<reconciliation&>(r) = reconcile(here, theirs);
  r.we_rolled_back = local_rolled_back(here, theirs);
  r.peer_rolled_back = protocol::peer_rolled_back(here, theirs);
  return r;
}
result reconciled(const side& us, const side& them) {
  return reconciled(us.c, us.marks(), them.hello());
}

side make(incarnation local, incarnation peer, std::uint64_t first, std::uint64_t next,
          std::uint64_t acknowledged, std::uint64_t delivered, std::uint64_t received) {
  side s;
  s.c.local = local;
  s.c.peer = peer;
  s.c.outbox_first = first;
  s.c.outbox_next = next;
  s.c.acknowledged = acknowledged;
  s.c.inbox_first = delivered + 1;
  s.c.inbox_next = received + 1;
  return s;
}

/// All states of one side with cursors up to `most` that a side alone can be in.
std::vector<side> sides(incarnation local, incarnation peer, std::uint64_t most) {
  std::vector<side> all;
  for (std::uint64_t next = 1; next <= most + 1; ++next) {
    for (std::uint64_t acknowledged = 0; acknowledged < next; ++acknowledged) {
      for (std::uint64_t first = 1; first <= acknowledged + 1; ++first) {
        for (std::uint64_t received = 0; received <= most; ++received) {
          for (std::uint64_t delivered = 0; delivered <= received; ++delivered) {
            all.push_back(make(local, peer, first, next, acknowledged, delivered, received));
          }
        }
      }
    }
  }
  return all;
}

/// Whether a history exists in which `from` and `to` hold these cursors of from's stream.
bool possible(const side& from, const side& to) {
  return from.c.acknowledged <= to.c.received() && to.c.received() < from.c.outbox_next &&
         from.c.outbox_first - 1 <= to.c.delivered();
}

}  // namespace

TEST_CASE("two peers with matching cursors resume") {
  side a = make(alice, bob, 3, 9, 4, 5, 7), b = make(bob, alice, 6, 10, 6, 3, 5);
  result at_a = reconciled(a, b), at_b = reconciled(b, a);
  CHECK(at_a.peer_has_our_incarnation);
  CHECK(at_a.peer_is_as_stored);
  CHECK_FALSE(at_a.we_rolled_back);
  CHECK_FALSE(at_a.peer_rolled_back);
  CHECK_FALSE(at_a.is(outcome::peer_reset));
  CHECK_FALSE(at_a.is(outcome::local_store_lost));
  CHECK(at_a.send_from == 6);  // b received 5
  CHECK(at_b.take_from == 6);
  CHECK(at_b.send_from == 8);  // a received 7
  CHECK(at_a.take_from == 8);
}

TEST_CASE("a gap begins where the peer's first message is past the one that is missing here") {
  // This side has a new incarnation: the peer confirmed messages to the one before.
  side a = make(other, bob, 1, 4, 0, 3, 5);
  for (std::uint64_t first : {6U, 7U, 9U}) {
    result v = reconciled(a, make(bob, alice, first, 10, 8, 0, 0));
    CHECK(v.is(first == 6 ? outcome::resume : outcome::gap));
    CHECK(v.restarts_stream() == (first != 6));
    CHECK(v.take_from == first);
    REQUIRE(v.event.has_value() == (first != 6));
    if (v.event) CHECK(v.event->inbound == sequence_range{6, first - 1});
  }
}

TEST_CASE("a message is verified from the last one confirmed on, and none below or not sent") {
  side a = make(alice, bob, 5, 9, 4, 0, 0);
  for (std::uint64_t received : {3U, 4U, 5U, 8U}) {
    hello_record theirs = make(bob, alice, 1, 1, 0, 0, received).hello();
    CHECK(reconciled(a.c, {}, theirs).verify == (received == 3 ? 0 : received));
    theirs.peer = other;
    CHECK(reconciled(a.c, {}, theirs).verify == 0);
  }
}

TEST_CASE("two new peers start at the first message") {
  side a = make(alice, {}, 1, 4, 0, 0, 0), b = make(bob, {}, 1, 1, 0, 0, 0);
  result v = reconciled(a, b);
  CHECK_FALSE(v.peer_has_our_incarnation);
  CHECK_FALSE(v.peer_is_as_stored);
  CHECK_FALSE(v.is(outcome::peer_reset));
  CHECK_FALSE(v.is(outcome::local_store_lost));
  CHECK_FALSE(v.we_rolled_back);
  CHECK_FALSE(v.peer_rolled_back);
  CHECK(v.send_from == 1);
  CHECK(v.take_from == 1);
}

TEST_CASE("a new peer's hello gives its first sequence") {
  side a = make(alice, {}, 5, 9, 0, 0, 0), b = make(bob, {}, 1, 1, 0, 0, 0);
  CHECK(reconciled(b, a).take_from == 5);
  CHECK(reconciled(a, b).send_from == 5);
}

TEST_CASE("a peer that lost its store is a reset on one side and a loss on the other") {
  side a = make(alice, bob, 3, 9, 4, 5, 7), b = make(other, {}, 1, 2, 0, 0, 0);
  result at_a = reconciled(a, b), at_b = reconciled(b, a);
  CHECK(at_a.is(outcome::peer_reset));
  CHECK_FALSE(at_a.peer_rolled_back);
  CHECK_FALSE(at_a.we_rolled_back);
  CHECK(at_b.is(outcome::local_store_lost));
  CHECK_FALSE(at_b.is(outcome::peer_reset));
  // All that the old incarnation did not confirm as delivered.
  CHECK(at_a.send_from == 3);
  CHECK(at_b.take_from == 3);
  CHECK(at_b.send_from == 1);
  CHECK(at_a.take_from == 1);
}

TEST_CASE("a side that lost its store learns it from a peer that has adopted it already") {
  side a = make(alice, other, 3, 9, 0, 5, 7), b = make(other, {}, 1, 2, 0, 0, 0);
  hello_record theirs = a.hello();
  theirs.received = theirs.delivered = 0;  // of this incarnation
  CHECK_FALSE(reconciled(b.c, b.marks(), theirs).is(outcome::local_store_lost));
  theirs.former_peer = bob;
  CHECK(reconciled(b.c, b.marks(), theirs).is(outcome::local_store_lost));
}

TEST_CASE("a store older than its incarnation is found if the peer had confirmed the older one") {
  side b = make(bob, alice, 1, 2, 0, 0, 0), a = make(alice, other, 1, 1, 0, 0, 0);
  CHECK_FALSE(reconciled(b, a).we_rolled_back);
  b.c.peer_confirmed_incarnation = 1;
  CHECK(reconciled(b, a).we_rolled_back);
  a.c.peer = bob;
  CHECK_FALSE(reconciled(b, a).we_rolled_back);
}

TEST_CASE("a peer whose received went below what it acknowledged was rolled back") {
  side a = make(alice, bob, 1, 9, 5, 0, 0), b = make(bob, alice, 1, 1, 0, 0, 4);
  CHECK(reconciled(a, b).peer_rolled_back);
  CHECK(reconciled(b, a).we_rolled_back);
  CHECK_FALSE(reconciled(a, b).we_rolled_back);
  CHECK_FALSE(reconciled(b, a).peer_rolled_back);
}

TEST_CASE("a peer whose next sequence is not above what we received was rolled back") {
  side a = make(alice, bob, 1, 1, 0, 4, 4);
  CHECK(reconciled(a, make(bob, alice, 1, 4, 0, 0, 0)).peer_rolled_back);
  CHECK(reconciled(make(bob, alice, 1, 4, 0, 0, 0), a).we_rolled_back);
  CHECK_FALSE(reconciled(a, make(bob, alice, 1, 5, 0, 0, 0)).peer_rolled_back);
}

TEST_CASE("a peer whose delivered went below what it confirmed was rolled back") {
  side a = make(alice, bob, 11, 11, 10, 0, 0), b = make(bob, alice, 1, 1, 0, 5, 10);
  CHECK(reconciled(a, b).peer_rolled_back);
  CHECK(reconciled(b, a).we_rolled_back);
  CHECK_FALSE(reconciled(a, b).we_rolled_back);
  CHECK_FALSE(reconciled(b, a).peer_rolled_back);
}

TEST_CASE("both sides may find that they and the other were rolled back") {
  side a = make(alice, bob, 1, 3, 0, 0, 5), b = make(bob, alice, 1, 3, 0, 0, 5);
  CHECK(reconciled(a, b).we_rolled_back);
  CHECK(reconciled(a, b).peer_rolled_back);
}

TEST_CASE("a hello as old as its nonce is no rollback though the cursors moved since") {
  side a = make(alice, bob, 1, 9, 4, 0, 0), b = make(bob, alice, 1, 3, 0, 0, 4);
  watermarks then = a.marks();
  a.c.acknowledged = 6;  // an ack overtook the hello
  CHECK_FALSE(reconciled(a.c, then, b.hello()).peer_rolled_back);
  CHECK(reconciled(a.c, a.marks(), b.hello()).peer_rolled_back);
}

TEST_CASE("a new incarnation is a reset that keeps what it received") {
  side a = make(alice, bob, 3, 9, 7, 5, 7);
  side b = make(other, alice, 2, 5, 0, 3, 5);  // had received 7, was put back to 5
  result at_a = reconciled(a, b), at_b = reconciled(b, a);
  CHECK(at_a.is(outcome::peer_reset));
  CHECK_FALSE(at_a.peer_rolled_back);
  CHECK_FALSE(at_a.we_rolled_back);
  CHECK_FALSE(at_b.we_rolled_back);
  CHECK(at_a.send_from == 6);
  CHECK(at_b.take_from == 6);
  CHECK(at_b.send_from == 2);
  CHECK(at_a.take_from == 2);
}

TEST_CASE("a new incarnation that did not store where it begins was not rolled back again") {
  // a's first message was delivered to an earlier incarnation of b, and is gone. The present one
  // has stored a, and a has stored it, but not yet that a's stream begins at 2 for it.
  side a = make(alice, bob, 2, 3, 0, 0, 0), b = make(bob, alice, 1, 2, 0, 0, 0);
  result at_a = reconciled(a, b), at_b = reconciled(b, a);
  for (const result& v : {at_a, at_b}) {
    CHECK_FALSE(v.we_rolled_back);
    CHECK_FALSE(v.peer_rolled_back);
  }
  CHECK(at_a.send_from == 2);
  CHECK(at_b.take_from == 2);
  // It has to have the messages that it acknowledged since.
  a.c.acknowledged = 2;
  CHECK(reconciled(a, b).peer_rolled_back);
  CHECK(reconciled(b, a).we_rolled_back);
}

TEST_CASE("in every small world the outcomes of both sides match") {
  const std::vector<side> as = sides(alice, bob, 2), bs = sides(bob, alice, 2);
  std::size_t wrong = 0, resumed = 0;
  for (const side& a : as) {
    for (const side& b : bs) {
      result at_a = reconciled(a, b), at_b = reconciled(b, a);
      if (at_a.we_rolled_back != at_b.peer_rolled_back) ++wrong;
      if (at_a.peer_rolled_back != at_b.we_rolled_back) ++wrong;
      if (at_a.send_from != at_b.take_from || at_b.send_from != at_a.take_from) {
        // Only where something was rolled back, or erased without being received.
        if (possible(a, b) && possible(b, a)) ++wrong;
      }
      if (!at_a.we_rolled_back && !at_a.peer_rolled_back) ++resumed;
      if (possible(a, b) && possible(b, a) && (at_a.we_rolled_back || at_a.peer_rolled_back)) {
        ++wrong;
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(resumed > 100);
}

TEST_CASE("in every small world that resumes no message is left out and none comes twice") {
  std::size_t wrong = 0;
  for (const side& a : sides(alice, bob, 3)) {
    for (const side& b : sides(bob, alice, 2)) {
      if (!possible(a, b) || !possible(b, a)) continue;
      if (reconciled(a, b).send_from != b.c.received() + 1) ++wrong;
      if (reconciled(b, a).take_from != b.c.received() + 1) ++wrong;
      if (reconciled(a, b).send_from < a.c.outbox_first) ++wrong;
      if (reconciled(a, b).send_from > a.c.outbox_next) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE(
    "in every small world a store that went back is found on both sides, or nobody missed it") {
  // b goes from `late` back to `early`; a saw something of late.
  std::size_t wrong = 0, found = 0;
  const std::vector<side> bs = sides(bob, alice, 2);
  for (const side& a : sides(alice, bob, 2)) {
    for (const side& late : bs) {
      if (!possible(a, late) || !possible(late, a)) continue;
      for (const side& early : bs) {
        const cursors &e = early.c, &l = late.c;
        if (e.outbox_first > l.outbox_first || e.outbox_next > l.outbox_next ||
            e.acknowledged > l.acknowledged || e.inbox_first > l.inbox_first ||
            e.inbox_next > l.inbox_next) {
          continue;
        }
        bool reported = reconciled(a, early).peer_rolled_back;
        if (reported != reconciled(early, a).we_rolled_back) ++wrong;
        if (reported) ++found;
        // Not reported: then a neither relied on what b forgot nor has messages that b gives anew.
        if (!reported && (a.c.acknowledged > e.received() || a.c.received() >= e.outbox_next))
          ++wrong;
      }
    }
  }
  CHECK(wrong == 0);
  CHECK(found > 0);
}

TEST_CASE("in every small world a lost store starts both streams without a gap") {
  std::size_t wrong = 0;
  for (const side& a : sides(alice, bob, 3)) {
    for (std::uint64_t next = 1; next <= 3; ++next) {
      side b = make(other, {}, 1, next, 0, 0, 0);
      result at_a = reconciled(a, b), at_b = reconciled(b, a);
      if (!at_a.is(outcome::peer_reset) || !at_b.is(outcome::local_store_lost)) ++wrong;
      if (at_a.we_rolled_back || at_a.peer_rolled_back) ++wrong;
      if (at_b.we_rolled_back || at_b.peer_rolled_back) ++wrong;
      if (at_a.send_from != a.c.outbox_first || at_b.take_from != a.c.outbox_first) ++wrong;
      if (at_b.send_from != 1 || at_a.take_from != 1) ++wrong;
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("in every small world a side that stored the handshake and one that did not agree") {
  // a stored b's incarnation and perhaps messages; b crashed before it stored a's.
  std::size_t wrong = 0;
  for (std::uint64_t b_next = 1; b_next <= 4; ++b_next) {
    for (std::uint64_t received = 0; received < b_next; ++received) {
      for (std::uint64_t delivered = 0; delivered <= received; ++delivered) {
        for (std::uint64_t a_next = 1; a_next <= 3; ++a_next) {
          side a = make(alice, bob, 1, a_next, 0, delivered, received);
          side b = make(bob, {}, 1, b_next, 0, 0, 0);
          result at_a = reconciled(a, b), at_b = reconciled(b, a);
          for (const result& v : {at_a, at_b}) {
            if (v.we_rolled_back || v.peer_rolled_back || v.is(outcome::peer_reset) ||
                v.is(outcome::local_store_lost))
              ++wrong;
          }
          if (at_a.send_from != 1 || at_b.take_from != 1) ++wrong;
          if (at_b.send_from != received + 1 || at_a.take_from != received + 1) ++wrong;
        }
      }
    }
  }
  CHECK(wrong == 0);
}
