#include "support/catch.hpp"

#include <ilm/protocol/session.hpp>

#include <cstddef>
#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;
using ilm::incarnation;

namespace {

constexpr incarnation alice{1, 2}, bob{3, 4};
constexpr std::uint64_t peer_nonce = 77;

ilm::options settings() {
  ilm::options o;
  o.keepalive_interval = 5s;
  o.keepalive_timeout = 16s;
  return o;
}

watermarks marks(std::uint64_t received) { return {1, received, 2}; }

/// A session, and a peer that proves whatever is asked for.
struct rig {
  explicit rig(const ilm::options& o = settings()) : s(o) {}

  void up(timestamp now = 0s) { s.handle_up(now, random, marks(1)); }
  hello_record poll(timestamp now = 0s) {
    hello_record h;
    REQUIRE(s.poll_hello(h, now, random));
    return h;
  }
  handshake::result hello(std::uint64_t nonce, std::uint64_t echo, timestamp now = 0s,
                          std::uint64_t received = 1) {
    hello_record h;
    h.nonce = nonce;
    h.echo = echo;
    h.proven = true;
    return s.handle_hello(h, now, random, marks(received));
  }
  /// A hello that proves the candidate.
  void prove(std::uint64_t nonce = peer_nonce, timestamp now = 0s) {
    REQUIRE(s.proof_pending());
    timestamp due = std::max(now, s.hello_deadline());
    REQUIRE(hello(nonce, poll(due).nonce, now) == handshake::result::proven);
  }
  void reconcile(timestamp now = 0s) {
    s.handle_heard(now);
    s.handle_reconciled(hello_record(), reconciliation());
  }
  void establish(timestamp now = 0s) {
    up(now);
    prove(peer_nonce, now);
    reconcile(now);
    REQUIRE(s.handle_verified(now));
    s.handle_ack_sent();
    REQUIRE(s.state() == phase::established);
  }
  void refuse() {
    up();
    prove();
    REQUIRE_FALSE(s.handle_peer_rolled_back());
  }
  void renew(std::vector<std::byte> final_hello = {}) {
    up();
    prove();
    REQUIRE_FALSE(s.end());
    s.handle_rolled_back(std::move(final_hello));
  }

  random_source random{1};
  session s;
};

}  // namespace

TEST_CASE("a session that nothing happened to is absent, silent, and listens") {
  rig r;
  CHECK(r.s.state() == phase::absent);
  CHECK_FALSE(r.s.is_open());
  CHECK(r.s.listens());
  CHECK_FALSE(r.s.proof_pending());
  CHECK_FALSE(r.s.ack_due());
  CHECK_FALSE(r.s.poll_ping());
  CHECK_FALSE(r.s.poll_bye());
  hello_record h;
  CHECK_FALSE(r.s.poll_hello(h, 1h, r.random));
  CHECK(r.s.deadline() == never);
  CHECK(r.s.hello_deadline() == never);
  CHECK_FALSE(r.s.end());
  CHECK(r.s.invariants_hold());
}

TEST_CASE("a session goes from the network's word to established, phase by phase") {
  rig r;
  r.up();
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.s.proof_pending());
  CHECK(r.s.at_nonce().received == 1);
  CHECK(r.s.hello_deadline() == 0s);
  CHECK_FALSE(r.s.is_open());
  r.prove();
  CHECK_FALSE(r.s.proof_pending());
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
  r.prove();
  r.reconcile();
  CHECK_FALSE(r.s.end());
  r.refuse();
  CHECK_FALSE(r.s.end());
}

TEST_CASE("a session that replaces an established one is no new one, and its end is reported") {
  for (bool verified : {true, false}) {
    rig r;
    r.establish();
    CHECK(r.hello(99, 0) == handshake::result::challenged);
    CHECK(r.s.state() == phase::established);
    r.prove(99);
    r.reconcile();
    CHECK(r.s.state() == phase::verifying);
    if (verified) CHECK_FALSE(r.s.handle_verified(0s));
    // A third one, before the second was verified.
    if (!verified) {
      CHECK(r.hello(100, 0) == handshake::result::challenged);
      r.prove(100);
      r.reconcile();
      CHECK_FALSE(r.s.handle_verified(0s));
    }
    CHECK(r.s.end());
  }
}

TEST_CASE("the watermarks are those of the moment when the candidate was created") {
  rig r;
  r.establish();
  CHECK(r.hello(99, 0, 0s, 10) == handshake::result::challenged);
  CHECK(r.s.at_nonce().received == 10);
  CHECK(r.hello(98, 0, 0s, 20) == handshake::result::challenged);
  CHECK(r.s.at_nonce().received == 10);
  r.s.lower_received(11);
  CHECK(r.s.at_nonce().received == 10);
  r.s.lower_received(9);
  CHECK(r.s.at_nonce().received == 9);
  CHECK(r.s.at_nonce().acknowledged == 1);
  CHECK(r.s.at_nonce().delivered == 2);
  r.prove(99);
  CHECK(r.s.at_nonce().received == 9);
}

TEST_CASE("an ignored hello moves no watermark") {
  rig r;
  r.establish();
  CHECK(r.hello(peer_nonce, 0, 0s, 10) == handshake::result::ignored);
  CHECK(r.s.at_nonce().received == 1);
  CHECK_FALSE(r.s.proof_pending());
}

TEST_CASE("a hello wakes a side that the network told nothing yet") {
  rig r;
  CHECK(r.hello(peer_nonce, 0, 0s, 5) == handshake::result::challenged);
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.s.at_nonce().received == 5);
  CHECK(r.poll().echo == peer_nonce);
  CHECK(r.s.invariants_hold());
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

TEST_CASE("a frame belongs to the session only with all three of its tags") {
  rig r;
  frame_header h;
  h.source_tag = tag_of(bob);
  h.destination_tag = tag_of(alice);
  CHECK_FALSE(r.s.owns(h, alice, bob));
  r.up();
  CHECK_FALSE(r.s.owns(h, alice, bob));
  r.prove();
  h.session_tag = r.s.key().tag;
  h.version = r.s.key().version;
  CHECK(h.version == 1);
  CHECK(r.s.owns(h, alice, bob));
  CHECK_FALSE(r.s.owns(h, bob, alice));
  for (std::uint32_t frame_header::*tag :
       {&frame_header::source_tag, &frame_header::destination_tag, &frame_header::session_tag}) {
    frame_header other = h;
    other.*tag ^= 1;
    CHECK_FALSE(r.s.owns(other, alice, bob));
  }
  frame_header other = h;
  other.version = 2;
  CHECK_FALSE(r.s.owns(other, alice, bob));
  r.s.end();
  h.session_tag = r.s.key().tag;
  CHECK_FALSE(r.s.owns(h, alice, bob));
}

TEST_CASE("an ack that came too early is asked for again once the session is verified") {
  for (bool ignored : {false, true}) {
    rig r;
    r.up();
    r.prove();
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
  CHECK_FALSE(r.s.handle_acks_changed());
  CHECK(r.s.ack_due());
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
  r.prove(peer_nonce, 10s);
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
  q.prove(peer_nonce, 1h);
  CHECK(q.s.deadline() == never);
  q.reconcile(1h);
  CHECK(q.s.deadline() == 1h + 5s);
}

TEST_CASE("a refused session gets a new handshake once acks say something new") {
  rig r;
  r.refuse();
  CHECK(r.s.state() == phase::refused);
  CHECK_FALSE(r.s.is_open());
  CHECK(r.s.invariants_hold());
  CHECK(r.s.handle_acks_changed());
  r.s.start_handshake(0s, r.random, marks(8));
  CHECK(r.s.state() == phase::handshaking);
  CHECK(r.s.at_nonce().received == 8);
  CHECK(r.s.invariants_hold());
}

TEST_CASE("an established session that is refused ends, once") {
  rig r;
  r.establish();
  CHECK(r.hello(99, 0) == handshake::result::challenged);
  r.prove(99);
  CHECK(r.s.handle_peer_rolled_back());
  CHECK_FALSE(r.s.handle_peer_rolled_back());
  CHECK_FALSE(r.s.end());
}

TEST_CASE("a side that renews its incarnation says one last hello and hears none") {
  rig r;
  r.renew({std::byte{1}, std::byte{2}});
  CHECK(r.s.state() == phase::renewing_incarnation);
  CHECK(r.s.invariants_hold());
  CHECK(r.hello(99, 0) == handshake::result::ignored);
  CHECK_FALSE(r.s.proof_pending());
  std::vector<std::byte> out;
  CHECK(r.s.poll_final_hello(out));
  CHECK(out == std::vector<std::byte>{std::byte{1}, std::byte{2}});
  CHECK_FALSE(r.s.poll_final_hello(out));
  CHECK(r.s.handle_renewed());
  CHECK(r.s.state() == phase::absent);
  CHECK_FALSE(r.s.handle_renewed());
}

TEST_CASE("a last hello is not said after the end of the network's session") {
  rig r;
  r.renew({std::byte{1}});
  CHECK_FALSE(r.s.end());
  std::vector<std::byte> out;
  CHECK_FALSE(r.s.poll_final_hello(out));
}

TEST_CASE("a side that renews its incarnation waits for its store, whatever the network says") {
  rig r;
  r.renew();
  r.s.end();
  CHECK(r.s.state() == phase::renewing_incarnation);
  r.up();
  CHECK(r.s.state() == phase::renewing_incarnation);
  CHECK_FALSE(r.s.proof_pending());
  r.s.end();
  r.s.handle_down();
  CHECK(r.s.state() == phase::renewing_incarnation);
  CHECK_FALSE(r.s.handle_renewed());
  CHECK(r.s.state() == phase::absent);
}

TEST_CASE("an incarnation that was not awaited starts no handshake") {
  rig r;
  r.establish();
  CHECK_FALSE(r.s.handle_renewed());
  CHECK(r.s.state() == phase::established);
}

TEST_CASE("a close says bye once, if a session was proven, and for good") {
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

TEST_CASE("a close says bye to a peer that was refused, and to none that was not proven") {
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
