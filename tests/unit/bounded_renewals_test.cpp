#include "support/catch.hpp"

#include <ilm/protocol/association.hpp>
#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/frame_writer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;
using namespace std::chrono_literals;

// A peer completes one handshake after the other, each with a hello that costs this side something.

namespace {

struct scene {
  scene() {
    stored = begin_history(incarnation{1, 2}, bytes(std::string("b")).view());
    start();
    me.base = me.first = 1;
    me.claim.mark = me.stream = stamp{1, 77};
    me.maximum_message_size = 1000;
    core->handle_session_up(now);
  }

  void start() {
    association_setup s;
    s.local_id = bytes(std::string("a"));
    s.peer_id = bytes(std::string("b"));
    s.entropy = &numbers;
    s.frame_limit = 4096;
    s.maximum_message = 1000;
    core = std::make_unique<association>(settings, std::move(s), stored);
  }

  /// One handshake. The hello of this side is in `theirs` then.
  void meet() {
    ++nonce;
    put([&](frame_writer& w) { w.challenge(nonce); });
    drain();
    me.nonce = nonce;
    me.echo = theirs.nonce;
    me.proven = true;
    me.source = std::as_bytes(std::span(source.data(), source.size()));
    me.destination = std::as_bytes(std::span(destination.data(), destination.size()));
    put([&](frame_writer& w) { w.hello(me); });
    drain();
  }
  /// The peer knows this side as its last hello showed it.
  void know() {
    me.claim.seen = theirs.claim.mark;
    me.follows = theirs.stream;
    me.claim.received_hash = theirs.erased_hash;
  }

  void put(const std::function<void(frame_writer&)>& record) {
    std::vector<std::byte> frame;
    frame_writer writer(frame, frame_header(), true, 4096);
    record(writer);
    writer.finish();
    core->handle_frame(frame, now);
  }

  void drain() {
    for (bool more = true; more;) {
      more = false;
      while (std::optional<store_change> c = core->poll_change(now)) {
        for (const stored_message& m : c->outbox) outbox[m.index] = m;
        stored = c->next;
        ++commits;
        core->handle_committed(now);
        more = true;
      }
      while (core->poll_send_result()) more = true;
      while (std::optional<page_request> r = core->poll_page(now)) {
        std::vector<stored_message> page{outbox.at(r->from)};
        core->handle_page(*r, page, now);
        more = true;
      }
      std::vector<std::byte> out;
      while (core->poll_frame(out, now)) {
        frame f;
        REQUIRE_FALSE(read_frame(out, {}, f));
        if (f.hello) theirs = *f.hello;
        theirs.source = theirs.destination = {};
        out.clear();
        more = true;
      }
      while (std::optional<event_record> e = core->poll_event()) ++told[e->kind];
    }
  }

  const std::string source = "b", destination = "a";
  options settings;
  seeded_entropy numbers{3};
  timestamp now = 1s;
  cursors stored;
  std::map<std::uint64_t, stored_message> outbox;
  std::unique_ptr<association> core;
  hello_record me, theirs;
  std::uint64_t nonce = 1000;
  int commits = 0;
  std::map<event_kind, int> told;
};

}  // namespace

TEST_CASE("hellos that resume are never waited for") {
  scene s;
  s.meet();
  for (std::uint64_t i = 2; i < 200; ++i) {
    s.know();
    s.me.claim.mark = stamp{i, 77};
    s.meet();
    REQUIRE(s.core->stored().history.seen == s.me.claim.mark);
  }
  CHECK(s.core->session_open());
}

TEST_CASE("gaps without end are told a few times, and the session stays") {
  scene s;
  s.meet();
  for (std::uint64_t i = 0; i < 200; ++i) {
    s.know();
    s.me.first += 10;
    s.meet();
    REQUIRE(s.core->session_open());
  }
  CHECK(s.told[event_kind::gap] == renewals_at_once - 1);
  CHECK(s.commits <= 2 * renewals_at_once);
}

TEST_CASE("conflicts that change with each hello are told a few times") {
  scene s;
  for (std::uint8_t i = 2; i < 200; ++i) {
    s.me.support.lowest_version = s.me.support.highest_version = i;
    s.meet();
  }
  CHECK(s.told[event_kind::peer_incompatible] == renewals_at_once);
}

TEST_CASE("a hello that is not admitted leaves the session as it is, and is heard when it is due") {
  scene s;
  auto begin_anew = [&] {
    ++s.me.base;
    s.me.claim.mark = s.me.stream = stamp{s.me.base, 5};
    s.meet();
  };
  for (int i = 0; i < renewals_at_once; ++i) begin_anew();
  REQUIRE(s.core->session_open());
  stamp known = s.core->stored().history.seen;
  int disconnected = s.told[event_kind::peer_disconnected];
  begin_anew();
  CHECK(s.core->stored().history.seen == known);
  CHECK(s.core->session_open());
  CHECK(s.told[event_kind::peer_disconnected] == disconnected);
  s.now += 1s;
  SECTION("when it is said again") {
    s.put([&](frame_writer& w) { w.hello(s.me); });
  }
  SECTION("when another handshake comes") { s.meet(); }
  s.drain();
  CHECK(s.core->stored().history.seen == s.me.claim.mark);
}

TEST_CASE("a peer that was shown its loss begins anew once without a wait, and no more often") {
  scene s;
  s.meet();
  s.know();
  s.me.claim.mark.count = 2;
  s.meet();
  REQUIRE(s.core->stored().history.seen == stamp{2, 77});
  s.me.claim.mark.count = 1;
  s.meet();
  REQUIRE_FALSE(s.core->session_open());
  s.me.origin = lineage_origin::rolled_back;
  for (std::uint64_t i = 3; i < 30; ++i) {
    s.me.base = i;
    s.me.claim.mark = s.me.stream = stamp{i, 5};
    s.meet();
  }
  // The first contact and the loss that was shown are two of the others.
  CHECK(s.told[event_kind::peer_rolled_back] == 1 + renewals_at_once - 2);
}

TEST_CASE("a hash that differs from the store's does not renew this side's history too often") {
  scene s;
  s.meet();
  for (std::uint64_t i = 0; i < 3; ++i) {
    REQUIRE_FALSE(s.core->handle_send(send_id{i}, payload(bytes(std::string("text")))));
    s.drain();
  }
  s.know();
  s.start();
  s.core->handle_session_up(s.now);
  s.drain();
  hello_record honest = s.me;
  for (std::uint8_t i = 2; i < 100; ++i) {
    s.me.support.lowest_version = s.me.support.highest_version = i;
    s.meet();
  }
  s.me = honest;
  s.me.claim.received = 2;
  s.me.claim.received_hash = stream_hash{6, 6};
  s.me.credit.sequence = 100;
  s.meet();
  CHECK(s.told[event_kind::rolled_back] == 0);
  s.now += 5s;
  s.meet();
  s.drain();
  CHECK(s.told[event_kind::rolled_back] == 1);
}
