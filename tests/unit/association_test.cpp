#include "support/catch.hpp"
#include "support/core_pair.hpp"

using namespace test;

namespace {

void send(core_side& s, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) s.send(text);
}

options patient() {
  options o;
  o.keepalive_interval = 0s;
  return o;
}

/// Loses all that goes to a but the handshake.
bool is_of_handshake_or_to_b(bool to_a, const std::vector<std::byte>& sent) {
  frame f;
  return !to_a || (!read_frame(sent, {}, f) && f.header.session == 0);
}

}  // namespace

TEST_CASE("two new peers open a session and exchange messages") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 10));
  send(p.b, numbered("b", 5));
  REQUIRE(p.settle());
  CHECK(p.established());
  CHECK(p.b.texts() == numbered("a", 10));
  CHECK(p.a.texts() == numbered("b", 5));
  CHECK(p.a.count(event_kind::peer_connected) == 1);
  CHECK(p.a.events.size() == 1);
  CHECK(p.b.events.size() == 1);
}

TEST_CASE("messages accepted before a session wait in the store and are sent when it opens") {
  core_pair p;
  send(p.a, numbered("a", 100));
  p.run_for(1s);
  CHECK(p.a.disk.outbox.size() == 100);
  CHECK(p.a.frames == 0);
  p.connect();
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 100));
}

TEST_CASE("an open session takes one round trip, and data half a one more") {
  core_pair p(patient());
  p.faults.delay = 100ms;
  p.connect();
  timestamp start = p.now;
  p.a.send("a1");
  REQUIRE(p.until([&] { return p.established(); }));
  CHECK(p.now - start == 200ms);
  REQUIRE(p.until([&] { return p.b.consumed.size() == 1; }));
  CHECK(p.now - start == 300ms);
}

TEST_CASE("a message is erased at its sender a round trip after it was consumed") {
  core_pair p(patient());
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  p.faults.delay = 100ms;
  for (int i = 0; i < 3; ++i) {
    timestamp start = p.now;
    p.a.send("x");
    REQUIRE(p.settle());
    CHECK(p.now - start < 400ms);
    p.run_for(1s);
  }
}

TEST_CASE("a session resumes at the cursors of both sides and repeats nothing") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 10));
  REQUIRE(p.settle());
  for (int i = 0; i < 20; ++i) {
    p.reconnect();
    REQUIRE(p.until([&] { return p.established(); }));
  }
  p.a.send("a11");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 11));
  CHECK(p.b->duplicates() == 0);
  CHECK(p.a->resent() == 0);
  CHECK(p.a.count(event_kind::peer_connected) == 21);
  CHECK(p.a.count(event_kind::peer_disconnected) == 20);
}

TEST_CASE("without a session nothing is in flight, and no contents are in memory") {
  core_pair p;
  p.b.application_up = false;
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.filter = [](bool, const auto&) { return false; };
  send(p.a, numbered("a", 20));
  p.run_for(10ms);
  CHECK(p.a->in_flight() == 20);
  p.disconnect();
  CHECK(p.a->in_flight() == 0);
  CHECK(p.a->unsent_bytes() == 0);
  CHECK(p.a->outbox_depth() == 20);
}

TEST_CASE("hundreds of sessions without a message leave nothing behind") {
  core_pair p;
  for (int i = 0; i < 300; ++i) {
    p.reconnect();
    REQUIRE(p.until([&] { return p.established(); }));
  }
  p.a.send("a1");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 1));
}

TEST_CASE("after a crash of either side the sender sends only messages that the receiver lacks") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 20));
  REQUIRE(p.settle());
  p.crash(p.b);
  REQUIRE(p.until([&] { return p.established(); }));
  p.crash(p.a);
  p.a.send("a21");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 21));
  CHECK(p.b->duplicates() == 0);
}

TEST_CASE("the hello of a new process ends the session of the one that crashed unseen") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 3));
  REQUIRE(p.settle());
  p.crash(p.b, false);
  p.a.send("a4");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 4));
}

TEST_CASE("a failed commit takes no sequence and the sends on it are gone") {
  core_pair p;
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  p.a.failing_commits = 1;
  p.a.send("lost");
  p.run_for(1s);
  CHECK(p.a.failing_commits == 0);
  p.a.send("a2");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 2));
  CHECK(p.a.disk.where.outbox.next == 3);
  CHECK(p.b.events.size() == 1);
}

TEST_CASE("a failed commit of the receiver is tried again and nothing is acked before") {
  core_pair p;
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  p.b.failing_commits = 5;
  send(p.a, numbered("a", 3));
  while (p.b.failing_commits > 0) {
    REQUIRE(p.step());
    CHECK(p.a->delivered_by_peer() == 0);
    CHECK(p.b.consumed.empty());
  }
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 3));
}

TEST_CASE("commits that all fail for a while lose and repeat nothing") {
  core_pair p;
  p.connect();
  p.b.failing_commits = 1000;
  send(p.a, numbered("a", 3));
  p.run_for(20s);
  p.b.failing_commits = 0;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 3));
}

TEST_CASE("a confirmation whose commit failed is stored later, though nothing else is") {
  core_pair p(patient());
  p.connect();
  p.a.send("a1");
  REQUIRE(p.until([&] { return p.a->delivered_by_peer() == 1; }));
  p.a.failing_commits = 1;
  REQUIRE(p.settle());
  CHECK(p.a.failing_commits == 0);
}

TEST_CASE("what a hello says to be received is stored soon, though no ack follows") {
  core_pair p(patient());
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  p.run_for(1s);
  p.filter = is_of_handshake_or_to_b;
  p.b.application_up = false;
  send(p.a, {"a2", "a3"});
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 2; }));
  p.run_for(100ms);
  REQUIRE(p.a.disk.where.outbox.acknowledged == 1);
  p.reconnect();
  CHECK(p.until([&] { return p.a.disk.where.outbox.acknowledged == 3; }, 5s));
}

TEST_CASE("a hello that tells of messages consumed confirms them, though no ack follows") {
  core_pair p(patient());
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  p.run_for(1s);
  p.filter = is_of_handshake_or_to_b;
  p.a.send("a2");
  REQUIRE(p.until([&] { return p.b.consumed.size() == 2; }));
  p.run_for(100ms);
  REQUIRE(p.a->delivered_by_peer() == 1);
  p.reconnect();
  CHECK(p.until([&] { return p.a->delivered_by_peer() == 2; }, 5s));
  CHECK(p.until([&] { return p.a.disk.outbox.empty(); }, 5s));
}

TEST_CASE("a store hears of the first of many acks soon, however closely the others follow") {
  options o = patient();
  o.window_messages = 1;
  core_pair p(o);
  p.b.application_up = false;
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  send(p.a, numbered("a", 50));
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 40; }));
  CHECK(p.a.disk.where.outbox.acknowledged >= 30);
}

TEST_CASE("an ack follows the commit of the messages that it confirms") {
  core_pair p(patient());
  p.b.commit_time = 50ms;
  p.connect();
  send(p.a, numbered("a", 50));
  while (!p.settled()) {
    REQUIRE(p.step());
    REQUIRE(p.a->delivered_by_peer() <= p.b.disk.where.inbox.delivered());
    REQUIRE(p.a.disk.where.outbox.first - 1 <= p.b.disk.where.inbox.delivered());
    REQUIRE(p.a.disk.where.outbox.acknowledged <= p.b.disk.where.inbox.received());
  }
  CHECK(p.b.texts() == numbered("a", 50));
}

TEST_CASE("the sender sends a peer no message before its store has a record of the peer") {
  core_pair p(patient());
  send(p.a, numbered("a", 3));
  p.run_for(1s);
  p.a.commit_time = 1s;
  p.connect();
  p.run_for(500ms);
  // Should a crash now, it would not know that b had anything of it.
  CHECK_FALSE(p.a.disk.where.met());
  CHECK(p.b.consumed.empty());
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 3));
}

TEST_CASE(
    "messages that the application does not consume stay unconfirmed, and are delivered when it is "
    "up") {
  core_pair p;
  p.connect();
  p.b.application_up = false;
  send(p.a, numbered("a", 5));
  p.run_for(30s);
  CHECK(p.b.disk.inbox.size() == 5);
  CHECK(p.a->delivered_by_peer() == 0);
  CHECK(p.a->in_flight() == 0);
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 5));
}

TEST_CASE(
    "an application that consumes nothing bounds what the peer sends, and credit comes back") {
  options o;
  o.credit_messages = 4;
  core_pair p(o);
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 50));
  p.run_for(30s);
  CHECK(p.b.disk.inbox.size() == 4);
  CHECK(p.b->rejected_frames() == 0);
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 50));
  CHECK(p.b->rejected_frames() == 0);
}

TEST_CASE("credit that ran out over a crash comes back") {
  options o;
  o.credit_messages = 4;
  core_pair p(o);
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 10));
  p.run_for(5s);
  p.crash(p.b);
  p.run_for(5s);
  CHECK(p.b.disk.inbox.size() == 4);
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 10));
}

TEST_CASE("credit that came back in a lost ack is asked for, though nothing is in flight") {
  options o = patient();
  o.credit_messages = 2;
  core_pair p(o);
  p.b.application_up = false;
  p.connect();
  send(p.a, {"old1", "old2"});
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 2; }));
  p.a.lose_store();
  p.crash(p.a);
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  // The messages of the lost store hold all credit.
  p.filter = [](bool to_a, const auto&) { return !to_a; };
  p.a.send("new");
  p.run_for(100ms);
  CHECK(p.a->in_flight() == 0);
  p.b.application_up = true;
  p.run_for(100ms);
  CHECK(p.b.consumed.size() == 2);
  p.filter = nullptr;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == std::vector<std::string>{"old1", "old2", "new"});
}

TEST_CASE(
    "a peer that lost its store gets all messages that it did not confirm, and both report it") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 3));
  send(p.b, numbered("b", 2));
  REQUIRE(p.settle());
  p.b.application_up = false;
  send(p.a, {"a4", "a5"});
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.received() == 5; }));
  p.run_for(1s);
  p.b.lose_store();
  p.b.consumed.clear();
  p.b.application_up = true;
  p.crash(p.b);
  p.b.send("new");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == std::vector<std::string>{"a4", "a5"});
  CHECK(p.a.texts() == std::vector<std::string>{"b1", "b2", "new"});
  const event_record& reported = p.a.find(event_kind::peer_reset);
  CHECK(reported.outbound == sequence_range{4, 5});
  // The new store numbers its messages from 1: all that the lost one had not got through.
  CHECK(reported.inbound == sequence_range{1, maximum_sequence});
  CHECK(p.a.count(event_kind::peer_reset) == 1);
  const event_record& lost = p.b.find(event_kind::store_lost);
  CHECK(lost.inbound == sequence_range{1, maximum_sequence});
  CHECK(lost.outbound == sequence_range{1, maximum_sequence});
  CHECK(p.b.count(event_kind::store_lost) == 1);
}

TEST_CASE("what a lost store had acknowledged does not make the new one look rolled back") {
  core_pair p;
  p.connect();
  p.b.application_up = false;
  send(p.a, numbered("a", 5));
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 5; }));
  p.b.lose_store();
  p.crash(p.b);
  // The new one knows the peer, and has nothing of it yet.
  p.filter = [](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    return read_frame(sent, {}, f) || to_a || f.data.empty();
  };
  REQUIRE(p.until([&] { return p.established() && p.b.disk.where.met(); }));
  p.run_for(1s);
  p.reconnect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.filter = nullptr;
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 5));
  CHECK(p.b.count(event_kind::rolled_back) == 0);
  CHECK(p.a.count(event_kind::peer_rolled_back) == 0);
  CHECK(p.a.count(event_kind::peer_reset) == 1);
}

TEST_CASE("the inbox delivers the messages of a lost store before its new stream") {
  core_pair p;
  p.connect();
  p.a.application_up = false;
  send(p.b, {"old1", "old2"});
  REQUIRE(p.until([&] { return p.a.disk.inbox.size() == 2; }));
  p.b.lose_store();
  p.crash(p.b);
  send(p.b, {"new1", "new2"});
  p.run_for(2s);
  p.a.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.a.texts() == std::vector<std::string>{"old1", "old2", "new1", "new2"});
}

TEST_CASE("a store that went back is reported on both sides, begins a new history and goes on") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 2));
  send(p.b, numbered("b", 2));
  REQUIRE(p.settle());
  p.run_for(1s);
  model_store backup = p.b.disk;
  send(p.a, {"a3", "a4"});
  send(p.b, {"b3", "b4", "b5"});
  REQUIRE(p.settle());
  p.run_for(1s);
  std::uint64_t before = backup.where.history.base;
  p.b.disk = backup;
  p.b.consumed.clear();
  p.crash(p.b);
  REQUIRE(p.until([&] { return p.a.count(event_kind::peer_rolled_back) == 1; }));
  CHECK(p.b.disk.where.history.base > before);
  p.b.send("again");
  p.a.send("a5");
  REQUIRE(p.settle());
  CHECK(p.b.disk.where.history.origin == lineage_origin::rolled_back);
  const event_record& ours = p.b.find(event_kind::rolled_back);
  CHECK(ours.outbound == sequence_range{3, maximum_sequence});
  CHECK(ours.inbound == sequence_range{3, maximum_sequence});
  CHECK(p.b.count(event_kind::rolled_back) == 1);
  const event_record& theirs = p.a.find(event_kind::peer_rolled_back);
  CHECK(theirs.outbound == sequence_range{3, 4});
  // a has more of b's stream than the copy holds, so b begins another one.
  CHECK(theirs.inbound == sequence_range{3, maximum_sequence});
  CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
  CHECK(p.a.count(event_kind::peer_reset) == 0);
  CHECK(p.a.texts() == std::vector<std::string>{"b1", "b2", "b3", "b4", "b5", "again"});
  CHECK(p.b.texts() == std::vector<std::string>{"a5"});
  // What a had confirmed is gone for good: said, not passed over.
  CHECK(p.b.find(event_kind::gap).inbound == sequence_range{3, 4});
}

TEST_CASE("a side that went back lets nothing through before its new history is stored") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 2));
  REQUIRE(p.settle());
  p.run_for(1s);
  model_store backup = p.b.disk;
  send(p.a, {"a3"});
  send(p.b, {"b1"});
  REQUIRE(p.settle());
  p.run_for(1s);
  p.b.disk = backup;
  p.b.consumed.clear();
  p.b.commit_time = 1h;  // b cannot store a new history
  p.crash(p.b);
  p.a.send("a4");
  p.run_for(30s);
  CHECK(p.a->state() != phase::established);
  CHECK(p.b.consumed.empty());
  CHECK(p.a.texts() == numbered("b", 1));
}

TEST_CASE("a clone that gave a number to another message is found by the stream's hash") {
  core_pair p;
  p.connect();
  send(p.a, numbered("a", 3));
  REQUIRE(p.settle());
  p.run_for(1s);
  model_store backup = p.a.disk;
  p.a.send("a4");
  REQUIRE(p.settle());
  p.run_for(1s);
  // The old store in a new life accepts another fourth before it meets the peer.
  p.disconnect();
  p.a.disk = backup;
  p.crash(p.a);
  p.a.send("other");
  p.run_for(1s);
  CHECK(p.a.disk.where.outbox.next == 5);
  p.connect();
  REQUIRE(p.until([&] { return p.b.consumed.size() == 5; }));
  CHECK(p.b.texts() == std::vector<std::string>{"a1", "a2", "a3", "a4", "other"});
  CHECK(p.a.count(event_kind::rolled_back) == 1);
  CHECK(p.b.count(event_kind::peer_rolled_back) == 1);
}

TEST_CASE("a late ack from before the peer's store went back erases nothing that is not named") {
  core_pair p(patient());
  p.connect();
  send(p.a, numbered("a", 6));
  REQUIRE(p.settle());
  p.run_for(1s);
  // What b confirms from now on is under way for long.
  std::vector<std::vector<std::byte>> late;
  p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
    if (to_a) late.push_back(frame);
    return !to_a;
  };
  send(p.a, {"a7", "a8"});
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.delivered() == 8; }));
  model_store backup = p.b.disk;
  std::vector<consumed_message> consumed = p.b.consumed;
  send(p.a, {"a9", "a10"});
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.delivered() == 10; }));
  p.run_for(10ms);
  // a has heard of nothing above 6 when b goes back; while both shake hands, it hears of 10.
  p.b.disk = backup;
  p.crash(p.b, false);
  p.b.consumed = consumed;
  int hellos = 0;
  p.filter = [&](bool to_a, const auto&) { return to_a && hellos++ == 0; };
  p.run_for(10ms);
  p.a->handle_frame(late.back(), p.now);
  p.filter = nullptr;
  p.a.send("a11");
  REQUIRE(p.settle());
  std::vector<std::string> at_b = p.b.texts();
  CHECK(at_b.back() == "a11");
  if (p.b.count(event_kind::rolled_back) == 0) {
    CHECK(at_b == numbered("a", 11));
  } else {
    CHECK(p.b.find(event_kind::rolled_back).inbound.contains(9));
    CHECK(p.a.find(event_kind::peer_rolled_back).outbound.contains(10));
  }
}

TEST_CASE("a bye ends the session on the other side and is not answered") {
  core_pair p;
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  p.a->handle_close();
  p.run_for(1s);
  CHECK(p.b.count(event_kind::peer_disconnected) == 1);
  CHECK(p.b->state() == phase::absent);
  int frames = p.a.frames + p.b.frames;
  p.run_for(60s);
  CHECK(p.a.frames + p.b.frames == frames);
  CHECK(p.a->deadline() == never);
}

TEST_CASE("the last ack that comes with a bye counts") {
  core_pair p;
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  bool silent = true;
  p.filter = [&](bool to_a, const auto&) { return !to_a || !silent; };
  p.a.send("a2");
  p.run_for(50ms);
  REQUIRE(p.a->delivered_by_peer() == 1);
  silent = false;
  p.b->handle_close();
  p.run_for(1s);
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
  CHECK(p.a->delivered_by_peer() == 2);
}

TEST_CASE("a side that closed waits for nothing, not even for what it had begun") {
  core_pair p(patient());
  p.filter = [](bool, const auto&) { return false; };
  p.connect();
  while (p.operate()) {
  }
  REQUIRE(p.a->state() == phase::handshaking);
  REQUIRE(p.a->deadline() != never);
  p.a->handle_close();
  while (p.operate()) {
  }
  CHECK(p.a->deadline() == never);
}

TEST_CASE("a page that cannot be read has a time at which it is asked for again") {
  core_pair p(patient(), 1, true);
  p.a.send("a1");
  p.run_for(1s);
  p.connect();
  std::optional<page_request> asked;
  REQUIRE(p.until([&] {
    if (p.a->state() == phase::established && !asked) asked = p.a->poll_page(p.now);
    return asked.has_value();
  }));
  p.run_for(1s);
  REQUIRE(p.a->deadline() == never);
  p.a->handle_page_failed(*asked, std::make_error_code(std::errc::io_error), p.now);
  timestamp due = p.a->deadline();
  REQUIRE(due == p.now + options().minimum_store_retry);
  CHECK_FALSE(p.a->poll_page(due - 1ns));
  p.a->handle_timeout(due);
  std::optional<page_request> again = p.a->poll_page(due);
  REQUIRE(again);
  CHECK(again->from == asked->from);
}

TEST_CASE("a message that was looked up for a former session is not compared in the present one") {
  core_pair p(patient());
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 3));
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 3; }));
  model_store backup = p.b.disk;
  p.filter = [](bool to_a, const auto&) { return !to_a; };
  p.a.send("a4");
  REQUIRE(p.until([&] { return p.b.disk.where.inbox.received() == 4; }));
  p.filter = [](bool, const auto&) { return false; };
  p.a.send("a5");
  p.run_for(10ms);
  p.filter = nullptr;
  // Of the fourth message a hears in this session, and then b's store is one that has three.
  auto compares = [&] { return p.a->state() == phase::verifying; };
  p.crash(p.a);
  REQUIRE(p.until(compares));
  std::optional<page_request> asked = p.a->poll_page(p.now);
  REQUIRE(asked);
  REQUIRE(asked->from == 4);
  p.b.disk = backup;
  p.crash(p.b);
  REQUIRE_FALSE(compares());
  REQUIRE(p.until(compares));
  p.a->handle_page(*asked, std::vector{p.a.disk.outbox.at(4)}, p.now);
  CHECK(compares());
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 5));
  CHECK(p.a.count(event_kind::rolled_back) == 0);
}

TEST_CASE("the store learns of another history without delay, though cursors may wait") {
  options o = patient();
  o.cursor_commit_delay = 1h;
  core_pair p(o);
  p.connect();
  p.run_for(1s);
  CHECK(p.a.disk.where.met());
  CHECK(p.b.disk.where.met());
  p.a.send("a1");
  p.run_for(1s);
  model_store backup = p.b.disk;
  p.a.send("a2");
  p.run_for(1s);
  p.b.disk = backup;
  p.crash(p.b);
  p.run_for(1s);
  CHECK(p.b.count(event_kind::rolled_back) == 1);
  CHECK(p.b.disk.where.history.origin == lineage_origin::rolled_back);
  CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
  CHECK(p.established());
}

TEST_CASE("data that leaves a gap is answered at once, and data that closes it by the commit") {
  options o = patient();
  o.frame_fill = 1;
  core_pair p(o);
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  p.b.commit_time = 1h;
  std::vector<std::vector<std::byte>> frames;
  p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
    struct frame f;
    if (!to_a && !read_frame(frame, {}, f) && !f.data.empty()) frames.push_back(frame);
    return false;
  };
  send(p.a, numbered("a", 4));
  REQUIRE(p.until([&] { return frames.size() == 4; }));
  auto answers = [&](std::size_t sequence) {
    std::vector<std::byte> ack;
    p.b->handle_frame(frames[sequence - 1], p.now);
    return p.b->poll_frame(ack, p.now);
  };
  CHECK(answers(2));
  CHECK(answers(4));
  CHECK(answers(1));  // 3 is missing
  CHECK_FALSE(answers(3));
  CHECK(answers(3));
}

TEST_CASE("an association that is closed asks for no page") {
  core_pair p;
  p.b.application_up = false;
  p.connect();
  send(p.a, numbered("a", 3));
  REQUIRE(p.until([&] { return p.b.disk.inbox.size() == 3; }));
  p.crash(p.b);
  REQUIRE(p.b->poll_page(p.now));
  p.crash(p.b);
  p.b->handle_close();
  CHECK_FALSE(p.b->poll_page(p.now));
}

TEST_CASE("a silent peer is given up, and found again when it is back") {
  options o;
  core_pair p(o);
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  bool cut = true;
  p.filter = [&](bool, const auto&) { return !cut; };
  p.run_for(o.keepalive_timeout + o.keepalive_interval);
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
  CHECK(p.b.count(event_kind::peer_disconnected) == 1);
  p.a.send("a2");
  p.run_for(60s);
  cut = false;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 2));
  CHECK(p.a.count(event_kind::peer_connected) == 2);
}

TEST_CASE("an idle session stays open, for little traffic") {
  core_pair p;
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  int frames = p.a.frames + p.b.frames;
  p.run_for(10min);
  CHECK(p.established());
  CHECK(p.a.count(event_kind::peer_disconnected) == 0);
  CHECK(p.a.frames + p.b.frames - frames <= 4 * 10 * 60 / 5 + 8);
}

TEST_CASE("without keepalive an idle session is silent") {
  core_pair p(patient());
  p.connect();
  p.a.send("a1");
  REQUIRE(p.settle());
  p.run_for(5s);
  int frames = p.a.frames + p.b.frames;
  p.run_for(1h);
  CHECK(p.a.frames + p.b.frames == frames);
  CHECK(p.a->deadline() == never);
  CHECK(p.b->deadline() == never);
}

TEST_CASE("frames of an earlier session change nothing") {
  core_pair p;
  std::vector<std::vector<std::byte>> old;
  p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
    if (!to_a) old.push_back(frame);
    return true;
  };
  p.connect();
  send(p.a, numbered("a", 5));
  REQUIRE(p.settle());
  auto first = old;
  p.reconnect();
  send(p.a, {"a6"});
  REQUIRE(p.settle());
  p.run_for(1s);
  cursors before = p.b->stored();
  std::uint64_t stale = p.b->stale_frames();
  for (const auto& frame : first) p.b->handle_frame(frame, p.now);
  CHECK(p.b->stale_frames() > stale);
  p.run_for(1s);
  CHECK(p.b->stored() == before);
  CHECK(p.established());
  CHECK(p.b.texts() == numbered("a", 6));
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
}

TEST_CASE("frames that arrive a session late change nothing") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    core_pair p({}, seed);
    p.faults.spread = 500ms;
    p.connect();
    send(p.a, numbered("a", 20));
    for (int i = 0; i < 10; ++i) {
      p.run_for(100ms);
      p.reconnect(false);
    }
    INFO(seed);
    REQUIRE(p.settle());
    CHECK(p.b.texts() == numbered("a", 20));
  }
}

TEST_CASE("a frame for another peer, from another peer, or malformed is refused") {
  core_pair p;
  core_pair q;
  association_setup s;
  s.local_id = bytes("c");
  s.peer_id = bytes("d");
  s.seed = 5;
  s.frame_limit = 4096;
  options o;
  seeded_entropy entropy(6);
  s.entropy = &entropy;
  cursors none = begin_history(incarnation{1, 2}, bytes("d").view());
  association stranger(o, s, none);
  std::vector<std::byte> frame;
  /// The side's hello, which it says when it is challenged.
  auto hello_of = [&](association& side) {
    p.b->handle_session_up(p.now);
    REQUIRE(p.b->poll_frame(frame, p.now));
    side.handle_frame(frame, p.now);
    do {
      REQUIRE(side.poll_frame(frame, p.now));
      struct frame f;
      REQUIRE_FALSE(read_frame(frame, {}, f));
      if (f.hello) return;
    } while (true);
  };
  hello_of(stranger);
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::wrong_destination);
  s.peer_id = bytes("b");
  association impostor(o, s, none);
  hello_of(impostor);
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::mismatched_source);
  frame.resize(5);
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::malformed_frame);
  frame.resize(5000);
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::frame_too_large);
  CHECK(p.b->rejected_frames() == 4);
}

TEST_CASE("a frame of the largest size is read, and one a byte larger is not") {
  core_pair p;
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  while (p.b->poll_event()) {
  }
  std::vector<std::byte> frame(p.b.frame_limit);
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::malformed_frame);
  frame.emplace_back();
  p.b->handle_frame(frame, p.now);
  CHECK(p.b->poll_event()->error == error::frame_too_large);
}

TEST_CASE(
    "a delivery that fails is named by its sequence, though its place in the inbox is another") {
  core_pair p;
  p.connect();
  send(p.a, numbered("old", 3));
  REQUIRE(p.settle());
  p.b.application_up = false;
  p.a.lose_store();
  p.crash(p.a);
  send(p.a, {"new1"});
  REQUIRE(p.until([&] { return p.b->has_delivery(p.now); }));
  const stored_message* next = p.b->poll_delivery(p.now);
  REQUIRE(next != nullptr);
  REQUIRE(next->sequence == 1);
  REQUIRE(next->index == 4);
  while (p.b->poll_event()) {
  }
  p.b->handle_delivery_failed(std::make_error_code(std::errc::io_error), p.now);
  CHECK(p.b->poll_event()->inbound == sequence_range{1, 1});
}

TEST_CASE("a message above the limit and one beyond the outbox's bound are refused") {
  options o;
  o.maximum_message_size = 10;
  o.outbox_limit = 3;
  core_pair p(o);
  CHECK(p.a.try_send(std::string(11, 'x')) == error::message_too_large);
  for (int i = 0; i < 3; ++i) CHECK_FALSE(p.a.try_send("x"));
  CHECK(p.a.try_send("x") == error::outbox_full);
  p.run_for(1s);
  CHECK(p.a.try_send("x") == error::outbox_full);
  p.connect();
  REQUIRE(p.settle());
  CHECK_FALSE(p.a.try_send("x"));
}

TEST_CASE("the depth of the outbox counts each message once while its commit runs") {
  core_pair p;
  p.a.commit_time = 1s;
  send(p.a, numbered("a", 3));
  CHECK(p.a->outbox_depth() == 3);
  p.run_for(500ms);
  CHECK(p.a->outbox_depth() == 3);
  p.a.send("a4");
  CHECK(p.a->outbox_depth() == 4);
  p.run_for(5s);
  CHECK(p.a->outbox_depth() == 4);
}

TEST_CASE("a lost frame costs about a round trip") {
  core_pair p(patient());
  p.faults.delay = 50ms;
  p.connect();
  for (int i = 0; i < 20; ++i) {  // until the round trip is known
    p.a.send("x");
    REQUIRE(p.settle());
  }
  bool lose = true;
  p.filter = [&](bool to_a, const auto&) { return to_a || !std::exchange(lose, false); };
  timestamp start = p.now;
  p.a.send("lost at first");
  REQUIRE(p.until([&] { return !lose; }));
  for (int i = 0; i < 5; ++i) {
    p.run_for(1ms);
    p.a.send("y");
  }
  REQUIRE(p.until([&] { return p.b.consumed.size() == 26; }));
  CHECK(p.b.consumed[20].text == "lost at first");
  CHECK(p.now - start <= 300ms);
}

TEST_CASE("a lost last ack is sent again though nothing else is sent") {
  core_pair p(patient());
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  int to_lose = 3;
  p.filter = [&](bool to_a, const auto&) { return !to_a || to_lose-- <= 0; };
  p.a.send("a1");
  REQUIRE(p.settle());
  CHECK(to_lose < 0);
  CHECK(p.b.texts() == numbered("a", 1));
}

TEST_CASE("a lost ack that tells a stamp was stored is sent again with the next ping") {
  core_pair p(patient());
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  int lost = 0;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    if (to_a || read_frame(sent, {}, f) || !f.ack || f.ping) return true;
    return ++lost, false;
  };
  for (int i = 0; i < 3; ++i) {
    p.a.send("x");
    REQUIRE(p.settle());
  }
  CHECK(lost > 0);
}

TEST_CASE(
    "over a network that loses, repeats, reorders and corrupts all arrives once and in order") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    options o;
    o.window_messages = 1 + seed % 17;
    o.credit_messages = 1 + seed % 23;
    o.page_messages = 1 + seed % 5;
    o.frame_fill = 1 + (seed * 37) % 400;
    core_pair p(o, seed);
    p.shuffled = true;
    p.faults.loss = seed % 40;
    p.faults.repetition = seed % 30;
    p.faults.corruption = seed % 10;
    p.faults.spread = std::chrono::milliseconds(seed % 30);
    p.connect();
    send(p.a, numbered("a", 100));
    send(p.b, numbered("b", 50));
    INFO(seed);
    REQUIRE(p.settle(600s));
    CHECK(p.b.texts() == numbered("a", 100));
    CHECK(p.a.texts() == numbered("b", 50));
  }
}

TEST_CASE("the frames that a message costs are bounded, on a good network and on a bad one") {
  core_pair good(patient());
  good.connect();
  for (std::size_t i = 1; i <= 100; ++i) {
    good.a.send("x");
    REQUIRE(good.settle());
  }
  CHECK(good.a.frames + good.b.frames <= 100 * 5 + 10);
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    core_pair bad(patient(), seed);
    bad.faults.loss = 30;
    bad.faults.spread = 20ms;
    bad.connect();
    for (std::size_t i = 1; i <= 100; ++i) {
      bad.a.send("x");
      bad.b.send("y");
      REQUIRE(bad.settle());
    }
    INFO(seed);
    CHECK(bad.a.frames + bad.b.frames <= 200 * 15);
  }
}

TEST_CASE("a burst shares frames, and a reliable network carries each message once") {
  core_pair p(patient(), 1, true);
  p.connect();
  send(p.a, numbered("message ", 1000));
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("message ", 1000));
  CHECK(p.a->resent() == 0);
  CHECK(p.b->duplicates() == 0);
  CHECK(p.a.frames + p.b.frames < 100);
}

TEST_CASE("one seed gives one trace") {
  auto trace = [](std::uint64_t seed) {
    core_pair p({}, seed);
    p.shuffled = true;
    p.faults.loss = 20;
    p.faults.spread = 10ms;
    std::uint32_t sum = 0;
    std::uint64_t count = 0;
    p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
      sum = sum * 31 + crc32c(frame) + (to_a ? 1 : 0);
      ++count;
      return true;
    };
    p.connect();
    send(p.a, numbered("a", 30));
    p.run_for(1s);
    p.crash(p.b, false);
    REQUIRE(p.settle());
    return std::pair(sum, count);
  };
  CHECK(trace(3) == trace(3));
  CHECK(trace(3) != trace(4));
}

namespace {

/// A short history in which `crashing` happens before step `at`; false if it ended before that.
bool short_history(std::uint64_t at, std::uint64_t seed, bool reliable,
                   const std::function<void(core_pair&)>& crashing) {
  options o;
  o.window_messages = 3;
  o.credit_messages = 4;
  o.page_messages = 2;
  core_pair p(o, seed, reliable);
  p.shuffled = seed != 1;
  p.connect();
  send(p.a, numbered("a", 4));
  send(p.b, numbered("b", 3));
  bool more = true;
  auto run_to = [&](std::uint64_t step) {
    while (p.steps < step) {
      if (more && p.a.consumed.size() == 3) {
        send(p.a, {"a5", "a6"});
        more = false;
      }
      if (!more && p.settled()) return false;
      if (!p.step()) return false;
    }
    return true;
  };
  if (!run_to(at)) return false;
  crashing(p);
  if (more) {
    REQUIRE(p.settle());
    send(p.a, {"a5", "a6"});
  }
  REQUIRE(p.settle());
  // What was stored is delivered once and in order; a send that was not stored may be missing.
  CHECK(p.b.texts() == p.a.sent);
  CHECK(p.a.texts() == p.b.sent);
  for (core_side* s : {&p.a, &p.b}) {
    for (event_kind wrong :
         {event_kind::peer_reset, event_kind::store_lost, event_kind::gap, event_kind::rolled_back,
          event_kind::peer_rolled_back, event_kind::frame_rejected}) {
      INFO(name_of(wrong));
      CHECK(s->count(wrong) == 0);
    }
  }
  return true;
}

}  // namespace

TEST_CASE("a crash between any two operations loses nothing and repeats nothing") {
  for (bool reliable : {false, true}) {
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      for (int variant = 0; variant < 4; ++variant) {
        std::uint64_t at = 0;
        auto crashing = [&](core_pair& p) { p.crash(variant % 2 == 0 ? p.a : p.b, variant < 2); };
        for (;; ++at) {
          INFO("reliable " << reliable << " seed " << seed << " variant " << variant << " at "
                           << at);
          if (!short_history(at, seed, reliable, crashing)) break;
        }
        CHECK(at > 50);
      }
    }
  }
}

TEST_CASE("a crash of both sides between any two operations loses nothing") {
  std::uint64_t at = 0;
  for (;; ++at) {
    INFO(at);
    if (!short_history(at, 1, false, [](core_pair& p) {
          p.crash(p.a, false);
          p.crash(p.b, false);
        })) {
      break;
    }
  }
  CHECK(at > 50);
}

TEST_CASE("two crashes, each between any two operations, lose nothing") {
  for (std::uint64_t at = 0;; at += 3) {
    bool reached = true;
    for (std::uint64_t later = 1; later < 60 && reached; later += 7) {
      INFO(at << " and " << later);
      reached = short_history(at, 2, false, [&](core_pair& p) {
        p.crash(p.a, false);
        for (std::uint64_t i = 0; i < later && p.operate(); ++i) {
        }
        p.crash(p.b, later % 2 == 0);
      });
    }
    if (!reached) break;
  }
}

TEST_CASE("the end of a session between any two operations loses nothing") {
  for (bool lose : {true, false}) {
    for (std::uint64_t at = 0;; ++at) {
      INFO(at);
      if (!short_history(at, 2, false, [&](core_pair& p) { p.reconnect(lose); })) break;
    }
  }
}

TEST_CASE("a loss of the store between any two operations is reported and ends in order") {
  for (std::uint64_t at = 0; at < 150; ++at) {
    core_pair p({}, 3);
    p.connect();
    send(p.a, numbered("a", 6));
    send(p.b, numbered("b", 4));
    while (p.steps < at && p.step()) {
    }
    bool met = p.a.disk.where.history.seen == p.b.disk.where.history.mark;
    std::vector<std::string> before = p.b.texts();
    p.b.lose_store();
    p.b.consumed.clear();
    p.b.sent.clear();
    p.crash(p.b, at % 2 == 0);
    p.b.send("new");
    INFO(at);
    REQUIRE(p.settle());
    p.run_for(1s);
    std::size_t reported = p.a.count(event_kind::peer_reset);
    CHECK(reported <= 1);
    if (met) CHECK(reported == 1);
    std::vector<std::string> at_a = p.a.texts();
    REQUIRE(!at_a.empty());
    CHECK(at_a.back() == "new");
    at_a.pop_back();
    CHECK(is_prefix(at_a, numbered("b", 4)));
    // Each message of a is with one of b's two lives at least, and in order in each.
    CHECK(is_prefix(before, numbered("a", 6)));
    std::vector<std::string> after = p.b.texts();
    REQUIRE(after.size() <= 6);
    std::size_t confirmed = 6 - after.size();
    CHECK(confirmed <= before.size());
    for (std::size_t i = 0; i < after.size(); ++i) {
      CHECK(after[i] == numbered("a", 6)[i + confirmed]);
    }
    // What only the lost life had is named.
    if (confirmed > 0) {
      CHECK(p.b.find(event_kind::store_lost).inbound.first == 1);
      CHECK(p.b.find(event_kind::store_lost).inbound.contains(confirmed));
    }
  }
}

TEST_CASE("a rollback to any earlier moment is reported or harmless, and the pair goes on") {
  for (std::uint64_t saved = 0; saved < 120; saved += 2) {
    core_pair p({}, 4);
    p.connect();
    send(p.a, numbered("a", 6));
    send(p.b, numbered("b", 4));
    while (p.steps < saved && p.step()) {
    }
    model_store backup = p.b.disk;
    std::vector<consumed_message> consumed = p.b.consumed;
    for (int i = 0; i < 60 && p.step(); ++i) {
    }
    p.b.disk = backup;
    p.b.consumed = consumed;
    p.crash(p.b, saved % 4 == 0);
    INFO(saved);
    REQUIRE(p.settle());
    p.a.send("after");
    p.b.send("after");
    REQUIRE(p.settle());
    CHECK(p.a.texts().back() == "after");
    CHECK(p.b.texts().back() == "after");
    bool reported = p.b.count(event_kind::rolled_back) > 0;
    if (!reported) {
      CHECK(p.b.texts() == p.a.sent);
    } else {
      CHECK(p.a.count(event_kind::peer_rolled_back) == 1);
    }
  }
}

TEST_CASE("a new stream keeps to the credit though the old one's last batch is not stored yet") {
  for (bool reliable : {false, true}) {
    options o = patient();
    o.maximum_message_size = 500;
    o.credit_bytes = 1000;
    core_pair p(o, 1, reliable);
    p.connect();
    p.a.send("met");
    REQUIRE(p.settle());
    p.b.commit_time = 1s;
    std::string half(450, 'x');
    p.a.send(half);
    p.a.send(half);
    REQUIRE(p.until([&] { return p.b->inbox_depth() == 2; }));
    p.a.lose_store();
    p.crash(p.a);
    for (int i = 0; i < 5; ++i) p.a.send(half);
    INFO(reliable);
    REQUIRE(p.settle());
    CHECK(p.b.consumed.size() == 8);
    CHECK(p.b->rejected_frames() == 0);
  }
}

TEST_CASE("no proven hello goes out before the peer is stored") {
  core_pair p(patient());
  p.a.commit_time = 1s;
  int proven = 0;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    REQUIRE_FALSE(read_frame(sent, {}, f));
    bool proves = f.hello && f.hello->proven;
    if (!to_a && proves) {
      ++proven;
      CHECK(p.a.disk.where.met());
      CHECK(f.hello->follows == p.b.disk.where.outbox.stream);
    }
    // Only b's answers arrive: it is a that has to prove the session.
    return !to_a || p.a.disk.where.met() || (f.hello && !f.hello->proven);
  };
  p.connect();
  p.run_for(900ms);
  CHECK(p.a->session_open());
  CHECK(proven == 0);
  CHECK(p.a->deadline() == never);  // there is nothing to do before the store is done
  REQUIRE(p.until([&] { return p.established(); }));
  CHECK(proven > 0);
}

TEST_CASE("no proven hello goes out before the peer's newest stamp is stored, nor data before it") {
  for (bool reliable : {false, true}) {
    core_pair p(patient(), 1, reliable);
    p.connect();
    p.a.send("1");
    REQUIRE(p.settle());
    p.run_for(1s);
    // Of the stamp that a makes for this message, b learns in the next hello only.
    p.filter = [](bool to_a, const auto&) { return to_a; };
    p.b.send("2");
    REQUIRE(p.until([&] { return p.a.consumed.size() == 1; }));
    p.run_for(1s);
    REQUIRE(p.a.disk.where.history.mark != p.b.disk.where.history.seen);
    p.disconnect();
    p.b.send("3");
    p.run_for(1s);
    p.b.commit_time = 1s;
    bool proven = false;
    p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
      frame f;
      REQUIRE_FALSE(read_frame(sent, {}, f));
      if (!to_a) return f.hello.has_value();  // a's hello comes, and b does not hear a challenge
      if (f.hello && f.hello->proven && !std::exchange(proven, true)) {
        CHECK(p.b.disk.where.history.seen == p.a.disk.where.history.mark);
      }
      CHECK((proven || f.header.session == 0));
      return true;
    };
    p.connect();
    p.run_for(900ms);
    INFO(reliable);
    CHECK(p.b->session_open());
    CHECK_FALSE(proven);
    p.run_for(1s);
    CHECK(proven);
    p.filter = nullptr;
    REQUIRE(p.settle());
    CHECK(p.a.texts() == std::vector<std::string>{"2", "3"});
  }
}

TEST_CASE("a session that the peer never opened ends with a new challenge") {
  core_pair p(patient());
  int challenges = 0;
  bool silent = false;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    REQUIRE_FALSE(read_frame(sent, {}, f));
    if (silent && !to_a && f.challenge) ++challenges;
    return !silent;
  };
  p.connect();
  REQUIRE(p.until([&] { return p.a->session_open() && !p.b->session_open(); }));
  p.flight.clear();
  silent = true;
  p.run_for(nonce_lifetime - 1s);
  CHECK(p.a->session_open());
  CHECK(challenges == 0);
  p.run_for(10s);
  CHECK_FALSE(p.a->session_open());
  CHECK(challenges > 0);
  silent = false;
  REQUIRE(p.until([&] { return p.established(); }));
}

TEST_CASE("two sides that do not agree challenge each other no more often than by the timer") {
  core_pair p(patient());
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
  // Each ack shows a stamp of another life.
  p.alter = [&](bool to_a, std::vector<std::byte>& sent) {
    frame f;
    if (!to_a || read_frame(sent, {}, f) || !f.ack) return;
    ack_record a = *f.ack;
    a.claim.seen = {a.claim.seen.count, ~a.claim.seen.random};
    sent.clear();
    frame_writer w(sent, f.header, true, 4096);
    w.ack(a);
    w.finish();
  };
  int before = p.a.frames;
  p.a.send("x");
  p.run_for(10s);
  CHECK(p.a.frames - before < 1000);
  CHECK(p.a.frames - before > 10);
  CHECK(p.a.count(event_kind::rolled_back) == 0);
  p.alter = nullptr;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == std::vector<std::string>{"x"});
}

TEST_CASE("messages for which there is no memory are not taken, and come again") {
  for (bool reliable : {false, true}) {
    INFO("reliable " << reliable);
    core_pair p(patient(), 1, reliable);
    p.connect();
    REQUIRE(p.until([&] { return p.established(); }));
    p.run_for(1s);
    std::vector<std::vector<std::byte>> kept;
    p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
      if (!to_a) kept.push_back(frame);
      return to_a;
    };
    send(p.a, numbered("a", 3));
    p.run_for(1ms);
    REQUIRE_FALSE(kept.empty());
    p.filter = {};
    for (const auto& frame : kept) p.b->handle_frame(frame, p.now, false);
    CHECK(p.b->inbox_depth() == 0);
    // Where nothing is lost within a session, they come in another one.
    CHECK(p.b->session_open() == !reliable);
    REQUIRE(p.settle());
    CHECK(p.b.texts() == numbered("a", 3));
    CHECK(p.b->duplicates() == 0);
    // Frames of a former session end none.
    p.reconnect();
    REQUIRE(p.until([&] { return p.established(); }));
    for (const auto& frame : kept) p.b->handle_frame(frame, p.now, false);
    CHECK(p.b->session_open());
  }
}

TEST_CASE("a pair whose memory is short at every step delivers all, in order, once") {
  for (bool reliable : {false, true}) {
    INFO("reliable " << reliable);
    core_pair p(patient(), 1, reliable);
    if (!reliable) p.faults.loss = 10;
    p.connect();
    send(p.a, numbered("a", 200));
    send(p.b, numbered("b", 200));
    bool done = false;
    for (int i = 0; i < 100'000 && !done; ++i) {
      p.run_for(1ms);
      p.a->handle_memory_short();
      p.b->handle_memory_short();
      CHECK(p.a->memory().releasable == 0);
      done = p.a.texts().size() == 200 && p.b.texts().size() == 200;
    }
    CHECK(p.b.texts() == numbered("a", 200));
    CHECK(p.a.texts() == numbered("b", 200));
  }
}

TEST_CASE("a hello that waits for the store is no reason to wake") {
  core_pair p;
  p.a.commit_time = p.b.commit_time = 1s;
  p.connect();
  std::size_t waits = 0;
  CHECK(p.until([&] {
    for (core_side* s : {&p.a, &p.b}) {
      if (!(*s)->session_open() || !s->in_commit()) continue;
      ++waits;
      CHECK((*s)->deadline() > p.now);
    }
    return waits > 0 && !p.a.in_commit() && !p.b.in_commit();
  }));
}

TEST_CASE("an ack that comes again while its change is with the store makes no other due") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    core_pair p(options(), seed);
    p.faults.repetition = 50;
    p.faults.spread = 200ms;
    p.a.commit_time = p.b.commit_time = 100ms;
    p.connect();
    send(p.a, numbered("a", 3));
    REQUIRE(p.settle());
    p.run_for(10s);
    INFO(seed);
    CHECK_FALSE(p.a->has_due_change(p.now));
    CHECK_FALSE(p.b->has_due_change(p.now));
  }
}

TEST_CASE("a page of the inbox that takes long holds up no session") {
  core_pair p;
  p.a.application_up = p.b.application_up = false;
  p.connect();
  send(p.a, {"a1"});
  send(p.b, {"b1"});
  REQUIRE(p.until([&] { return p.a.disk.inbox.size() + p.b.disk.inbox.size() == 2; }));
  p.disconnect();
  send(p.a, {"a2"});
  REQUIRE(p.until([&] { return p.a.disk.outbox.size() == 2; }));
  p.crash(p.a);
  std::optional<page_request> inbox = p.a->poll_page(p.now);
  REQUIRE(inbox);
  CHECK(inbox->purpose == page_purpose::inbox);
  // Which of its messages b has is read from the store meanwhile.
  p.connect();
  CHECK(p.until([&] { return p.b.disk.inbox.size() == 2; }));
}
