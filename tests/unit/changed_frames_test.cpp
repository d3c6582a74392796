#include "support/catch.hpp"
#include "support/core_pair.hpp"
#include "support/written_frame.hpp"

// Frames of a session that say something else than the peer of this session would: those of another
// life, or of an error.

using namespace test;

namespace {

options patient() {
  options o;
  o.keepalive_interval = 0s;
  return o;
}

/// Changes each frame to the one side.
std::function<void(bool, std::vector<std::byte>&)> changing(bool those_to_a,
                                                            std::function<void(frame&)> change) {
  return [=](bool to_a, std::vector<std::byte>& sent) {
    frame f;
    if (to_a != those_to_a || read_frame(sent, {}, f)) return;
    change(f);
    sent = written(f, true);
  };
}

void establish(core_pair& p) {
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  p.run_for(1s);
}

void send(core_side& s, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) s.send(text);
}

}  // namespace

TEST_CASE("an ack of the newest stamp with fewer messages than were confirmed ends the session") {
  core_pair p;
  establish(p);
  send(p.a, numbered("a", 5));
  REQUIRE(p.settle());
  p.run_for(1s);
  int acks = 0;
  p.alter = changing(true, [&](frame& f) {
    if (f.ack && acks++ == 0) f.ack->claim.received = f.ack->claim.delivered = 3;
  });
  p.run_for(20s);
  CHECK(acks > 0);
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
  CHECK(p.a->rejected_frames() == 0);
  p.a.send("a6");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 6));
}

TEST_CASE("an ack of a message that is not in memory is not believed: the session ends") {
  options o = patient();
  o.window_messages = 2;
  core_pair p(o);
  establish(p);
  bool changed = false;
  p.alter = changing(true, [&](frame& f) {
    if (!f.ack || f.ack->claim.received == 0 || std::exchange(changed, true)) return;
    f.ack->claim.received = 7;
    f.ack->claim.received_hash = p.a.disk.outbox.at(7).hash;
  });
  send(p.a, numbered("a", 10));
  REQUIRE(p.settle());
  CHECK(changed);
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
  CHECK(p.b.texts() == numbered("a", 10));
}

TEST_CASE("an ack with a stamp that is not the newest confirms no delivery") {
  core_pair p(patient());
  p.b.application_up = false;
  establish(p);
  send(p.a, numbered("a", 3));
  REQUIRE(p.until([&] { return p.a.disk.where.outbox.acknowledged == 3; }));
  p.run_for(1s);
  int acks = 0;
  p.alter = changing(true, [&](frame& f) {
    if (!f.ack) return;
    f.ack->claim.mark.random ^= 1;
    f.ack->claim.delivered = 3;
    ++acks;
  });
  p.run_for(20s);
  CHECK(acks > 0);
  CHECK(p.a->delivered_by_peer() == 0);
  CHECK(p.a.disk.outbox.size() == 3);
  CHECK(p.a.count(event_kind::peer_disconnected) == 0);
  p.alter = nullptr;
  p.b.application_up = true;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 3));
}

TEST_CASE("no ack echoes a frame with a message that was refused") {
  core_pair p(patient());
  establish(p);
  int acks = 0;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    REQUIRE_FALSE(read_frame(sent, {}, f));
    if (!to_a || !f.ack) return true;
    ++acks;
    CHECK(f.ack->echo == 0);
    return true;
  };
  p.alter = changing(false, [](frame& f) {
    for (data_record& d : f.data) d.first += maximum_credit_messages;
  });
  p.a.send("a1");
  p.run_for(1s);
  CHECK(p.b->rejected_frames() > 0);
  CHECK(acks > 0);
  p.alter = nullptr;
  p.filter = nullptr;
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 1));
}

TEST_CASE("a message that blocks its stream is told of though no frame goes out") {
  core_pair p(patient(), 1, true);
  p.alter = changing(true, [](frame& f) {
    if (f.hello) f.hello->maximum_message_size = 10;
  });
  establish(p);
  // As a's stamp stays unconfirmed, its next commit is none that an ack tells of.
  p.filter = [](bool to_a, const auto&) { return !to_a; };
  p.a.send("fits");
  p.run_for(1s);
  int frames = p.a.frames;
  p.a.send("more than ten bytes");
  p.run_for(1s);
  p.run_for(1s);  // an event may be the last to come
  CHECK(p.a.count(event_kind::stream_blocked) == 1);
  CHECK(p.a.frames == frames);
}

TEST_CASE("a hello that shows the peer in another session ends the one that is open") {
  core_pair p(patient());
  std::vector<std::byte> hello;
  p.filter = [&](bool to_a, const std::vector<std::byte>& sent) {
    frame f;
    REQUIRE_FALSE(read_frame(sent, {}, f));
    if (to_a && f.hello) hello = sent;
    return true;
  };
  establish(p);
  frame f;
  REQUIRE_FALSE(read_frame(hello, {}, f));
  f.hello->proven = true;
  f.hello->nonce ^= 1;
  p.a->handle_frame(written(f, true), p.now);
  CHECK_FALSE(p.a->session_open());
  p.a.send("a1");
  REQUIRE(p.settle());
  CHECK(p.b.texts() == numbered("a", 1));
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
}
