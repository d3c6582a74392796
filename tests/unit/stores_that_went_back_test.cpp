// Histories of two associations around stores that went back or were lost, step by step.

#include "support/catch.hpp"

#include <ilm/protocol/association.hpp>

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

constexpr incarnation alice{1, 1}, bob{2, 2}, other{3, 3};

association_setup setup(const char* me, const char* you, std::uint64_t epoch, bool reliable) {
  association_setup s;
  s.local_id = bytes(std::string_view(me));
  s.peer_id = bytes(std::string_view(you));
  s.epoch = epoch;
  s.seed = epoch * 77;
  s.frame_limit = 65536;
  s.maximum_message = 1000;
  s.reliable = reliable;
  return s;
}

std::vector<stored_message> page(std::uint64_t first, std::uint64_t last, std::uint64_t epoch) {
  std::vector<stored_message> all;
  for (std::uint64_t s = first; s <= last; ++s) {
    all.emplace_back(s, s, epoch, bytes(std::string_view("x")));
  }
  return all;
}

bool move_frames(association& from, association& to, timestamp now) {
  std::vector<std::byte> frame;
  bool any = false;
  while (from.poll_frame(frame, now)) {
    any = true;
    to.handle_frame(frame, now);
  }
  return any;
}

void commit(association& a, timestamp now) {
  while (a.has_due_change(now)) {
    if (!a.poll_change(now)) return;
    a.handle_committed(now);
  }
}

/// Answers the page that the side asks for, if it does, with messages up to `last`.
bool read_page(association& a, std::uint64_t last, std::uint64_t epoch, timestamp now) {
  std::optional<page_request> wanted = a.poll_page(now);
  if (wanted) a.handle_page(*wanted, page(wanted->from, last, epoch), now);
  return wanted.has_value();
}

void consume(association& a, std::uint64_t count, timestamp now) {
  for (; count > 0; --count) {
    REQUIRE(a.poll_delivery(now) != nullptr);
    a.handle_consumed(now);
  }
}

bool heard(association& a, event_kind kind) {
  bool found = false;
  while (auto n = a.poll_event()) found = found || n->kind == kind;
  return found;
}

void talk(association& a, association& b, timestamp now) {
  for (int i = 0; i < 10; ++i) {
    move_frames(a, b, now);
    move_frames(b, a, now);
  }
}

void meet(association& a, association& b, timestamp now) {
  a.handle_session_up(now);
  b.handle_session_up(now);
  talk(a, b, now);
}

/// Where a sender of the epoch 1 stands whose outbox holds `first` to `next` - 1.
cursors sender_at(std::uint64_t first, std::uint64_t next, std::uint64_t acknowledged) {
  cursors c;
  c.local = alice;
  c.peer = bob;
  c.outbox_first = first;
  c.outbox_next = next;
  c.acknowledged = acknowledged;
  c.erased_epoch = 1;
  return c;
}

/// Where a receiver stands that has ten messages of the epoch 1 and has consumed so many of them.
cursors consumed_of_ten(std::uint64_t consumed) {
  cursors c;
  c.local = bob;
  c.peer = alice;
  c.inbox_first = c.advertised_first = consumed + 1;
  c.inbox_next = 11;
  c.received_epoch = c.delivered_epoch = c.advertised_epoch = 1;
  return c;
}

/// Bob accepted Alice's message 11, "old", and its commit is under way. Alice's store went back to
/// a copy without it.
struct old_message_in_commit {
  old_message_in_commit() {
    association lost(o, setup("a", "b", 1, true), sender_at(11, 11, 10));
    meet(lost, b, 1s);
    REQUIRE_FALSE(lost.handle_send(send_id{1}, bytes(std::string_view("old"))));
    commit(lost, 1s);
    talk(lost, b, 1s);
    REQUIRE(b.inbox_depth() == 1);
    REQUIRE(b.poll_change(2s));
  }

  static options without_keepalive() {
    options settings;
    settings.keepalive_interval = 0ns;
    return settings;
  }

  const options o = without_keepalive();
  association a{o, setup("a", "b", 2, true), sender_at(11, 11, 10)};
  association b{o, setup("b", "a", 9, true), consumed_of_ten(10)};
};

}  // namespace

TEST_CASE("an ack that comes before the epoch was verified erases nothing") {
  // The store went back to four delivered, and gave 5 to 20 to other messages.
  cursors sent = sender_at(5, 21, 4);
  options o;
  association a(o, setup("a", "b", 2, true), sent),
      b(o, setup("b", "a", 9, true), consumed_of_ten(10));
  meet(a, b, 1s);
  REQUIRE(a.state() == phase::verifying);
  REQUIRE(read_page(a, 10, 2, 1s));
  CHECK(a.state() == phase::renewing_incarnation);
  CHECK(heard(a, event_kind::rolled_back));
  auto change = a.poll_change(1s);
  REQUIRE(change);
  CHECK(change->next.outbox_first == 5);
}

TEST_CASE("a store that went back in `delivered` alone is found on both sides") {
  cursors sent = sender_at(11, 11, 10);
  cursors back = consumed_of_ten(5);
  options o;
  association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), back);
  meet(a, b, 1s);
  CHECK(heard(a, event_kind::peer_rolled_back));
  bool reported = false;
  while (auto n = b.poll_event()) {
    if (n->kind != event_kind::rolled_back) continue;
    reported = true;
    CHECK(n->inbound == sequence_range{6, 10});
  }
  CHECK(reported);
}

TEST_CASE("both sides get an event of a store that went back, whichever finds it first") {
  for (bool old_one_first : {false, true}) {
    cursors sent = sender_at(11, 11, 10);
    cursors back = consumed_of_ten(5);
    back.inbox_next = 6;
    options o;
    association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), back);
    association& first = old_one_first ? b : a;
    association& second = old_one_first ? a : b;
    first.handle_session_up(1s);
    move_frames(first, second, 1s);
    talk(second, first, 1s);
    commit(b, 1s);
    talk(second, first, 2s);
    CHECK(heard(b, event_kind::rolled_back));
    bool reported = false, reset = false;
    while (auto n = a.poll_event()) {
      if (n->kind == event_kind::peer_rolled_back) {
        reported = true;
        CHECK(n->outbound == sequence_range{6, 10});
      }
      reset = reset || n->kind == event_kind::peer_reset;
    }
    CHECK(reported);
    CHECK(reset);
  }
}

TEST_CASE("deliveries before the handshake do not mask a rollback") {
  // Ten were delivered when the peer saw the store last, or five more; the copy knows of five, and
  // its application takes some of the others before there is a session, in one life or in several.
  using number = std::uint64_t;
  options o;
  for (number confirmed : {number{10}, number{15}}) {
    for (number again = 0; again <= 5; ++again) {
      for (number lives = 0; lives <= 2; ++lives) {
        cursors back = consumed_of_ten(5);
        for (number life = 0; life < lives; ++life) {
          association earlier(o, setup("b", "a", 7 + life, true), back);
          read_page(earlier, 10, 1, 1s);
          number part = life + 1 < lives ? again / 2 : again - (back.inbox_first - 6);
          consume(earlier, part, 1s);
          commit(earlier, 1s);
          back = earlier.stored();
        }
        cursors sent = sender_at(confirmed + 1, confirmed + 1, confirmed);
        association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), back);
        if (lives == 0) {
          REQUIRE(read_page(b, 10, 1, 1s));
          consume(b, again, 1s);
          commit(b, 1s);
        }
        meet(a, b, 1s);
        INFO(confirmed << ' ' << again << ' ' << lives);
        CHECK(heard(a, event_kind::peer_rolled_back));
        bool reported = false;
        while (auto n = b.poll_event()) {
          if (n->kind != event_kind::rolled_back) continue;
          reported = true;
          CHECK(n->inbound == sequence_range{6, confirmed});
        }
        CHECK(reported);
      }
    }
  }
}

TEST_CASE("deliveries from the inbox before the handshake do not look like a rollback") {
  cursors sent = sender_at(6, 11, 10);
  cursors stored = consumed_of_ten(5);
  options o;
  association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), stored);
  REQUIRE(read_page(b, 10, 1, 1s));
  consume(b, 5, 1s);
  commit(b, 1s);
  meet(a, b, 1s);
  while (read_page(a, 10, 1, 1s)) {
  }
  for (timestamp now = 2s; now < 4s; now += 1s) {
    talk(a, b, now);
    commit(a, now);
    commit(b, now);
  }
  CHECK(a.state() == phase::established);
  CHECK(a.outbox_depth() == 0);
  // And the next session, which that confirmation preceded, finds nothing wrong either.
  meet(a, b, 5s);
  while (read_page(a, 10, 1, 5s)) {
  }
  talk(a, b, 5s);
  CHECK(a.state() == phase::established);
  CHECK(b.state() == phase::established);
  for (association* side : {&a, &b}) {
    while (auto n = side->poll_event()) CHECK(n->kind != event_kind::rolled_back);
  }
}

TEST_CASE("the receiver advertises the credit that messages of an old incarnation gave back") {
  options o;
  o.credit_messages = 4;
  o.keepalive_interval = 0ns;
  cursors fresh;
  fresh.local = other;
  fresh.outbox_next = 4;
  cursors full;
  full.local = bob;
  full.peer = alice;
  full.inbox_next = 5;
  full.received_epoch = 1;
  association a(o, setup("a", "b", 2, true), fresh), b(o, setup("b", "a", 9, true), full);
  meet(a, b, 1s);
  for (int i = 0; i < 5; ++i) {
    commit(a, 1s);
    commit(b, 1s);
    talk(a, b, 1s);
    read_page(a, 3, 2, 1s);
  }
  REQUIRE(a.in_flight() == 0);
  REQUIRE(read_page(b, 4, 1, 1s));
  consume(b, 4, 1s);
  for (timestamp now = 2s; now < 5s; now += 1s) {
    commit(b, now);
    talk(a, b, now);
  }
  CHECK(a.in_flight() + b.inbox_depth() >= 3);
}

TEST_CASE("a message in commit at the next handshake reveals a rollback as well") {
  options o;
  o.keepalive_interval = 0ns;
  cursors sent = sender_at(11, 12, 10);
  association b(o, setup("b", "a", 9, false), consumed_of_ten(10));
  {
    association a(o, setup("a", "b", 2, false), sent);
    meet(a, b, 1s);
    read_page(a, 11, 1, 1s);
    talk(a, b, 1s);
  }
  REQUIRE(b.inbox_depth() == 1);
  sent.outbox_next = 11;
  association a(o, setup("a", "b", 3, false), sent);
  meet(a, b, 2s);
  CHECK(b.state() == phase::handshaking);
  commit(b, 2s);
  for (timestamp now = 3s; now < 60s; now += 1s) {
    a.handle_timeout(now);
    b.handle_timeout(now);
    talk(a, b, now);
    commit(a, now);
    commit(b, now);
  }
  CHECK(heard(a, event_kind::rolled_back));
  CHECK(a.state() == phase::established);
  CHECK(b.state() == phase::established);
}

TEST_CASE("a late message of a lost history is not accepted during the handshake") {
  // The message 11 is on its way when the store goes back to a copy that has none. What the peer
  // says in its hello must stay true until the hello is answered, or nobody notices the old 11, and
  // it passes for the new one.
  options o;
  o.keepalive_interval = 0ns;
  cursors sent = sender_at(11, 11, 10);
  association b(o, setup("b", "a", 9, false), consumed_of_ten(10));
  std::vector<std::byte> late;
  {
    association a(o, setup("a", "b", 1, false), sent);
    meet(a, b, 1s);
    REQUIRE_FALSE(a.handle_send(send_id{1}, bytes(std::string_view("old"))));
    commit(a, 1s);
    REQUIRE(a.poll_frame(late, 1s));
  }
  association a(o, setup("a", "b", 2, false), sent);
  a.handle_session_up(2s);
  move_frames(a, b, 2s);
  move_frames(b, a, 2s);
  b.handle_frame(late, 2s);
  commit(b, 2s);
  talk(a, b, 2s);
  REQUIRE_FALSE(a.handle_send(send_id{1}, bytes(std::string_view("new"))));
  for (timestamp now = 3s; now < 6s; now += 1s) {
    commit(a, now);
    a.handle_timeout(now);
    talk(a, b, now);
    commit(b, now);
  }
  CHECK(a.outbox_depth() == 1);
  const stored_message* next = b.poll_delivery(6s);
  REQUIRE(next != nullptr);
  CHECK(next->contents.text() == "new");
}

TEST_CASE(
    "a rolled back store creates one incarnation, however many handshakes precede the read of its "
    "inbox") {
  cursors sent = sender_at(11, 11, 10);
  cursors back = consumed_of_ten(5);
  options o;
  association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), back);
  int renewals = 0;
  for (timestamp now = 1s; now < 10s; now += 1s) {
    meet(a, b, now);
    for (int i = 0; i < 3; ++i) {
      commit(a, now);
      commit(b, now);
      talk(a, b, now);
    }
    while (auto n = b.poll_event()) renewals += n->kind == event_kind::rolled_back ? 1 : 0;
    while (a.poll_event()) {
    }
  }
  CHECK(renewals == 1);
  CHECK(a.state() == phase::established);
  CHECK(b.state() == phase::established);
  // The copy delivers again the messages that it does not record as consumed.
  REQUIRE(read_page(b, 10, 1, 10s));
  const stored_message* next = b.poll_delivery(10s);
  REQUIRE(next != nullptr);
  CHECK(next->sequence == 6);
}

TEST_CASE(
    "a copy from before a new incarnation is found by a peer that had stored that incarnation") {
  for (std::uint64_t confirmed : {std::uint64_t{0}, std::uint64_t{1}}) {
    // Bob has a new incarnation since the copy was made, and Alice has stored it.
    cursors sent = sender_at(11, 11, 0);
    sent.peer = other;
    cursors back = consumed_of_ten(5);
    back.peer_confirmed_incarnation = confirmed;
    options o;
    association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), back);
    meet(a, b, 1s);
    commit(a, 1s);
    commit(b, 1s);
    talk(a, b, 1s);
    INFO(confirmed);
    CHECK(heard(a, event_kind::peer_reset));
    // An incarnation that the peer never confirmed may have been created a moment ago.
    CHECK(heard(b, event_kind::rolled_back) == (confirmed == 1));
  }
}

TEST_CASE("a hello waits until the store has the gap that was reported") {
  cursors sent = sender_at(11, 11, 7);
  cursors behind = consumed_of_ten(7);
  behind.inbox_next = 8;
  options o;
  association a(o, setup("a", "b", 2, true), sent), b(o, setup("b", "a", 9, true), behind);
  meet(a, b, 1s);
  bool reported = false;
  while (auto n = b.poll_event()) {
    reported = reported || (n->kind == event_kind::gap && n->inbound == sequence_range{8, 10});
  }
  CHECK(reported);
  std::vector<std::byte> frame;
  b.handle_session_up(2s);
  CHECK_FALSE(b.poll_frame(frame, 2s));
  commit(b, 2s);
  REQUIRE(b.poll_frame(frame, 2s));
  struct frame said;
  REQUIRE_FALSE(read_frame(frame, {}, said));
  REQUIRE(said.hello);
  CHECK(said.hello->received == 10);
}

TEST_CASE("messages whose commit failed are forgotten at the next handshake") {
  // Alice's store goes back and gives the number 11 to another message, while Bob's takes none.
  old_message_in_commit s;
  association &a = s.a, &b = s.b;
  REQUIRE_FALSE(a.handle_send(send_id{1}, bytes(std::string_view("new"))));
  commit(a, 2s);
  meet(a, b, 2s);
  CHECK(b.state() == phase::handshaking);
  b.handle_commit_failed(std::make_error_code(std::errc::no_space_on_device), 2s);
  for (timestamp now = 3s; now < 6s; now += 1s) {
    talk(a, b, now);
    commit(b, now);
    commit(a, now);
    if (auto r = a.poll_page(now)) {
      std::vector<stored_message> all;
      all.emplace_back(11, 11, 2, bytes(std::string_view("new")));
      a.handle_page(*r, all, now);
    }
  }
  const stored_message* next = b.poll_delivery(6s);
  REQUIRE(next != nullptr);
  CHECK(next->contents.text() == "new");
  CHECK(b.inbox_depth() == 1);
}

TEST_CASE("a message that was forgotten is not held against a peer whose store went back") {
  // Alice's store goes back before she gave the number 11, and Bob's does not take the message.
  old_message_in_commit s;
  association &a = s.a, &b = s.b;
  meet(a, b, 2s);
  REQUIRE(b.state() == phase::handshaking);
  b.handle_commit_failed(std::make_error_code(std::errc::no_space_on_device), 2s);
  talk(a, b, 3s);
  CHECK(b.inbox_depth() == 0);
  CHECK(b.state() == phase::established);
  CHECK_FALSE(heard(b, event_kind::peer_rolled_back));
}

TEST_CASE("an ack that could not be believed yet is asked for once the last message is verified") {
  options o;
  association a(o, setup("a", "b", 2, true), sender_at(5, 21, 4)),
      b(o, setup("b", "a", 9, true), consumed_of_ten(10));
  meet(a, b, 1s);
  REQUIRE(a.state() == phase::verifying);
  REQUIRE(read_page(a, 10, 1, 1s));
  REQUIRE(a.state() == phase::established);
  std::vector<std::byte> out;
  frame said;
  REQUIRE(a.poll_frame(out, 1s));
  REQUIRE_FALSE(read_frame(out, {}, said));
  CHECK(said.ping);
}

TEST_CASE("a peer that crashed before it stored this side is told again how much was received") {
  options o;
  association b(o, setup("b", "a", 9, true), consumed_of_ten(10));
  cursors lost;
  lost.local = other;
  {
    association a(o, setup("a", "b", 1, true), lost);
    meet(a, b, 1s);
    REQUIRE(heard(b, event_kind::peer_reset));
    commit(b, 1s);
  }
  association a(o, setup("a", "b", 2, true), lost);
  meet(a, b, 2s);
  std::optional<event_record> e = a.poll_event();
  REQUIRE(e);
  CHECK(e->kind == event_kind::store_lost);
  CHECK(e->outbound.first == 11);
}
