#include "support/catch.hpp"

#include <ilm/protocol/session.hpp>

#include <cstddef>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t peer_nonce = 77;

ilm::options settings() {
  ilm::options o;
  o.keepalive_interval = 5s;
  o.keepalive_timeout = 16s;
  return o;
}

/// A session, and a peer that answers whatever is asked for.
struct rig {
  explicit rig(const ilm::options& o = settings()) : s(o, numbers) {}

  void up(timestamp now = 0s) { s.handle_up(now); }
  std::uint64_t challenge(timestamp now = 0s) {
    std::uint64_t nonce = s.poll_challenge(now, random);
    REQUIRE(nonce != 0);
    return nonce;
  }
  hello_record poll(timestamp now = 0s) {
    hello_record h;
    REQUIRE(s.poll_hello(h, now, random));
    return h;
  }
  bool hello(std::uint64_t nonce, std::uint64_t echo, timestamp now = 0s, bool proven = true) {
    hello_record h;
    h.nonce = nonce;
    h.echo = echo;
    h.proven = proven;
    bool fresh = s.handle_hello(h, now);
    return fresh;
  }
  /// A fresh hello: of a peer that was challenged, or, in a session, that challenged this side.
  void meet(std::uint64_t nonce = peer_nonce, timestamp now = 0s) {
    std::uint64_t echo = 0;
    if (s.state() == phase::handshaking) {
      echo = challenge(std::max(now, s.handshake_deadline()));
    } else {
      s.handle_challenge(nonce, now);
      echo = poll(now).nonce;
    }
    REQUIRE(hello(nonce, echo, now));
  }
  void reconcile(timestamp now = 0s) { s.handle_reconciled(hello_record(), reconciliation(), now); }
  void establish(timestamp now = 0s) {
    up(now);
    meet(peer_nonce, now);
    reconcile(now);
    REQUIRE(s.handle_verified(now));
    s.handle_ack_sent();
    REQUIRE(s.state() == phase::established);
  }
  void refuse() {
    up();
    meet();
    REQUIRE_FALSE(s.handle_incompatible());
  }
  void renew() {
    up();
    meet();
    REQUIRE_FALSE(s.end());
    s.handle_renewing();
  }

  seeded_entropy numbers{2};
  random_source random{1};
  session s;
};

}  // namespace

TEST_CASE("a session that nothing happened to is absent, silent, and listens") {
  rig r;
  CHECK(r.s.state() == phase::absent);
  CHECK_FALSE(r.s.is_open());
  CHECK(r.s.listens());
  CHECK_FALSE(r.s.ack_due());
  CHECK_FALSE(r.s.poll_ping());
  CHECK_FALSE(r.s.poll_bye());
  CHECK_FALSE(r.s.poll_versions());
  CHECK(r.s.poll_challenge(1h, r.random) == 0);
  hello_record h;
  CHECK_FALSE(r.s.poll_hello(h, 1h, r.random));
  CHECK(r.s.deadline() == never);
  CHECK(r.s.handshake_deadline() == never);
  CHECK_FALSE(r.s.end());
  CHECK(r.s.invariants_hold());
}

TEST_CASE("a session goes from the network's word to established, phase by phase") {
  rig r;
  r.up();
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.s.handshake_deadline() == 0s);
  CHECK_FALSE(r.s.is_open());
  r.meet();
  CHECK(r.s.handshake_deadline() == never);
  r.reconcile();
  CHECK(r.s.state() == phase::verifying);
  CHECK(r.s.is_open());
  CHECK(r.s.ack_due());
  CHECK(r.s.handle_verified(0s));
  CHECK(r.s.state() == phase::established);
  CHECK(r.s.is_open());
  CHECK(r.s.invariants_hold());
  CHECK(r.s.end());
  CHECK(r.s.state() == phase::absent);
  CHECK_FALSE(r.s.ack_due());
  CHECK(r.s.key().tag == 0);
  CHECK_FALSE(r.s.end());
}

TEST_CASE("a session that was not verified has no end to report") {
  rig r;
  r.up();
  CHECK_FALSE(r.s.end());
  r.up();
  r.meet();
  r.reconcile();
  CHECK_FALSE(r.s.end());
  r.refuse();
  CHECK_FALSE(r.s.end());
}

TEST_CASE("a session that replaces an established one is no new one, and its end is reported") {
  for (bool verified : {true, false}) {
    rig r;
    r.establish();
    r.meet(99);
    r.reconcile();
    CHECK(r.s.state() == phase::verifying);
    if (verified) CHECK_FALSE(r.s.handle_verified(0s));
    // A third one, before the second was verified.
    if (!verified) {
      r.meet(100);
      r.reconcile();
      CHECK_FALSE(r.s.handle_verified(0s));
    }
    CHECK(r.s.end());
  }
}

TEST_CASE("a challenge is answered and changes nothing, in a session or before it") {
  for (bool open : {false, true}) {
    rig r;
    if (open) r.establish();
    if (!open) r.up();
    phase before = r.s.state();
    std::uint64_t tag = r.s.key().tag;
    for (int i = 0; i < 10; ++i) {
      r.s.handle_challenge(98, 1s);
      CHECK(r.s.state() == before);
      CHECK(r.s.key().tag == tag);
      if (!open) r.s.poll_challenge(std::max(timestamp(1s), r.s.handshake_deadline()), r.random);
      CHECK(r.poll(1s).echo == 98);
      CHECK_FALSE(r.s.ack_due());
    }
    CHECK(r.s.invariants_hold());
  }
}

TEST_CASE("a challenge wakes a side that the network told nothing yet") {
  rig r;
  r.s.handle_challenge(peer_nonce, 0s);
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.challenge() != 0);
  CHECK(r.poll().echo == peer_nonce);
  CHECK(r.s.invariants_hold());
}

TEST_CASE("a hello that nobody asked for wakes nobody") {
  rig r;
  CHECK_FALSE(r.hello(peer_nonce, 5));
  CHECK(r.s.state() == phase::absent);
  r.up();
  std::uint64_t nonce = r.challenge();
  CHECK_FALSE(r.hello(peer_nonce, nonce + 1));
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.hello(peer_nonce, nonce));
}

TEST_CASE("a peer that says again that it opened the session gets an ack, which it hears") {
  for (bool open : {false, true}) {
    rig r;
    if (open) r.establish();
    if (!open) r.refuse();
    CHECK_FALSE(r.hello(peer_nonce, 5));
    CHECK(r.s.ack_due() == open);
  }
}

TEST_CASE("a session listens unless the network is gone or it is closed") {
  rig r;
  r.up();
  CHECK(r.s.listens());
  r.s.end();
  CHECK(r.s.listens());
  r.s.handle_down();
  CHECK_FALSE(r.s.listens());
  r.up();
  CHECK(r.s.listens());
  r.s.handle_close();
  CHECK_FALSE(r.s.listens());
  r.s.end();
  r.up();
  CHECK_FALSE(r.s.listens());
  CHECK(r.s.state() == phase::closed);
}

TEST_CASE("a frame belongs to the session only with its tag and its version") {
  rig r;
  frame_header h;
  CHECK_FALSE(r.s.owns(h));
  r.up();
  CHECK_FALSE(r.s.owns(h));
  r.meet();
  h.session = r.s.key().tag;
  h.version = r.s.key().version;
  CHECK(h.version == 1);
  CHECK(r.s.owns(h));
  frame_header other = h;
  other.session ^= 1;
  CHECK_FALSE(r.s.owns(other));
  other = h;
  other.version = 2;
  CHECK_FALSE(r.s.owns(other));
  r.s.end();
  h.session = r.s.key().tag;
  CHECK_FALSE(r.s.owns(h));
}

TEST_CASE("an ack that came too early is asked for again once the session is verified") {
  for (bool ignored : {false, true}) {
    rig r;
    r.up();
    r.meet();
    r.reconcile();
    if (ignored) r.s.handle_ignored_ack();
    CHECK_FALSE(r.s.poll_ping());
    r.s.handle_verified(0s);
    CHECK(r.s.poll_ping() == ignored);
    CHECK_FALSE(r.s.poll_ping());
  }
}

TEST_CASE("an ack is due when it is asked for, until it is sent") {
  rig r;
  r.establish();
  CHECK_FALSE(r.s.ack_due());
  r.s.require_ack();
  CHECK(r.s.ack_due());
  r.s.handle_ack_sent();
  CHECK_FALSE(r.s.ack_due());
}

TEST_CASE("a silent session is pinged by the interval and given up by the timeout") {
  rig r;
  r.establish(10s);
  CHECK(r.s.deadline() == 15s);
  CHECK(r.s.handle_timeout(15s - 1ns));
  CHECK_FALSE(r.s.poll_ping());
  CHECK(r.s.handle_timeout(15s));
  CHECK(r.s.poll_ping());
  CHECK(r.s.deadline() == 20s);
  CHECK(r.s.handle_timeout(20s - 1ns));
  CHECK_FALSE(r.s.poll_ping());
  CHECK(r.s.handle_timeout(20s));
  CHECK(r.s.poll_ping());
  CHECK(r.s.handle_timeout(26s - 1ns));
  CHECK_FALSE(r.s.handle_timeout(26s));
}

TEST_CASE("a frame of the session puts off both ping and end") {
  rig r;
  r.establish(10s);
  r.s.handle_heard(14s);
  CHECK(r.s.deadline() == 19s);
  CHECK(r.s.handle_timeout(15s));
  CHECK_FALSE(r.s.poll_ping());
  CHECK(r.s.handle_timeout(30s - 1ns));
  CHECK_FALSE(r.s.handle_timeout(30s));
}

TEST_CASE("a session is pinged an interval after it was verified, if nothing was heard since") {
  rig r;
  r.up(10s);
  r.meet(peer_nonce, 10s);
  r.reconcile(10s);
  r.s.handle_verified(12s);
  CHECK(r.s.deadline() == 17s);
  CHECK(r.s.handle_timeout(26s - 1ns));
  CHECK_FALSE(r.s.handle_timeout(26s));
}

TEST_CASE("a ping that was not sent goes with its session") {
  rig r;
  r.establish();
  CHECK(r.s.handle_timeout(5s));
  r.s.end();
  CHECK_FALSE(r.s.poll_ping());
}

TEST_CASE("a session without keepalive or one that is not open has no deadline") {
  ilm::options o = settings();
  o.keepalive_interval = 0s;
  rig r(o);
  r.establish();
  CHECK(r.s.deadline() == never);
  CHECK(r.s.handle_timeout(1h));
  CHECK_FALSE(r.s.poll_ping());
  rig q;
  q.up();
  CHECK(q.s.deadline() == never);
  CHECK(q.s.handle_timeout(1h));
  q.meet(peer_nonce, 1h);
  CHECK(q.s.deadline() == never);
  q.reconcile(1h);
  CHECK(q.s.deadline() == 1h + 5s);
}

TEST_CASE("a session that the peer never opened ends without keepalive as well") {
  ilm::options o = settings();
  o.keepalive_interval = 0s;
  rig r(o);
  r.up();
  REQUIRE(r.hello(peer_nonce, r.challenge(), 0s, false));
  r.reconcile();
  CHECK(r.s.handle_timeout(nonce_lifetime - 1ns));
  CHECK_FALSE(r.s.handle_timeout(nonce_lifetime));
  r.s.handle_heard(nonce_lifetime);
  CHECK(r.s.handle_timeout(1h));
}

TEST_CASE("a peer that cannot work with this side is answered once, and nothing opens") {
  rig r;
  r.up();
  REQUIRE(r.hello(peer_nonce, r.challenge(), 0s, false));
  CHECK_FALSE(r.s.handle_incompatible());
  CHECK(r.s.state() == phase::incompatible);
  CHECK_FALSE(r.s.is_open());
  CHECK(r.s.invariants_hold());
  CHECK(r.s.handshake_deadline() == never);
  CHECK(r.poll().proven);
  hello_record h;
  CHECK_FALSE(r.s.poll_hello(h, 1h, r.random));
  CHECK(r.s.deadline() == never);
  // A challenge is answered still: the peer may be another build by now.
  r.s.handle_challenge(99, 1h);
  CHECK(r.poll(1h).echo == 99);
}

TEST_CASE("an established session of a peer that became incompatible ends, once") {
  rig r;
  r.establish();
  r.meet(99);
  CHECK(r.s.handle_incompatible());
  CHECK_FALSE(r.s.handle_incompatible());
  CHECK_FALSE(r.s.end());
}

TEST_CASE("a conflict is reported again if it is another one, or a session opened since") {
  rig r;
  event_record e(event_kind::peer_incompatible, error::feature_missing_here);
  e.features = 1;
  CHECK_FALSE(r.s.repeats_conflict(e));
  CHECK(r.s.repeats_conflict(e));
  event_record second = e;
  second.features = 2;
  CHECK_FALSE(r.s.repeats_conflict(second));
  CHECK(r.s.repeats_conflict(second));
  CHECK_FALSE(r.s.repeats_conflict(e));
  r.establish();
  CHECK_FALSE(r.s.repeats_conflict(e));
}

TEST_CASE("of conflicts that nothing proves, the first is reported until a session opens") {
  rig r;
  event_record one(event_kind::peer_incompatible, error::peer_version_too_new);
  one.peer_versions = {2, 3};
  event_record two = one;
  two.peer_versions = {4, 5};
  CHECK(r.s.handle_claimed_conflict(one));
  for (const event_record& e : {two, one, two}) CHECK_FALSE(r.s.handle_claimed_conflict(e));
  CHECK_FALSE(r.s.repeats_conflict(two));
  r.establish();
  CHECK(r.s.handle_claimed_conflict(two));
}

TEST_CASE("a frame of a version that is not spoken is answered once in a while") {
  rig r;
  r.s.handle_unspoken_version(5s);
  CHECK(r.s.poll_versions());
  CHECK_FALSE(r.s.poll_versions());
  timestamp next = timestamp(5s) + versions_interval;
  r.s.handle_unspoken_version(next - 1ns);
  CHECK_FALSE(r.s.poll_versions());
  r.s.handle_unspoken_version(next);
  CHECK(r.s.poll_versions());
}

TEST_CASE("a side whose history is not in order says nothing and hears nothing") {
  rig r;
  r.renew();
  CHECK(r.s.state() == phase::renewing_history);
  CHECK(r.s.invariants_hold());
  r.s.handle_challenge(99, 0s);
  CHECK_FALSE(r.hello(99, 5));
  CHECK(r.s.poll_challenge(1h, r.random) == 0);
  hello_record h;
  CHECK_FALSE(r.s.poll_hello(h, 1h, r.random));
  CHECK(r.s.handle_renewed());
  CHECK(r.s.state() == phase::absent);
  CHECK_FALSE(r.s.handle_renewed());
}

TEST_CASE("a side that renews its history waits for its store, whatever the network says") {
  rig r;
  r.renew();
  r.s.end();
  CHECK(r.s.state() == phase::renewing_history);
  r.up();
  CHECK(r.s.state() == phase::renewing_history);
  CHECK(r.s.handshake_deadline() == never);
  r.s.end();
  r.s.handle_down();
  CHECK(r.s.state() == phase::renewing_history);
  CHECK_FALSE(r.s.handle_renewed());
  CHECK(r.s.state() == phase::absent);
}

TEST_CASE("a history that was in order starts no handshake") {
  rig r;
  r.establish();
  CHECK_FALSE(r.s.handle_renewed());
  CHECK(r.s.state() == phase::established);
}

TEST_CASE("a close says bye once, if there was a session, and for good") {
  rig r;
  r.establish();
  r.s.handle_close();
  CHECK(r.s.is_closed());
  CHECK_FALSE(r.s.is_open());
  CHECK(r.s.poll_bye());
  CHECK_FALSE(r.s.poll_bye());
  CHECK(r.s.end());
  CHECK_FALSE(r.s.end());
  CHECK(r.s.is_closed());
  CHECK(r.s.deadline() == never);
}

TEST_CASE(
    "a close says bye to a peer that cannot work with this side, and to none that was not met") {
  rig r;
  r.refuse();
  r.s.handle_close();
  CHECK(r.s.poll_bye());
  CHECK_FALSE(r.s.end());
  rig q;
  q.up();
  q.s.handle_close();
  CHECK_FALSE(q.s.poll_bye());
  rig n;
  n.s.handle_close();
  CHECK_FALSE(n.s.poll_bye());
}

TEST_CASE("a bye that was not sent goes with the network's session") {
  rig r;
  r.establish();
  r.s.handle_close();
  CHECK(r.s.end());
  CHECK_FALSE(r.s.poll_bye());
}
