// Two builds of the core whose versions and features differ, and change in the middle of traffic.

#include "support/as_size.hpp"
#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <ilm/protocol/crc32c.hpp>

#include <cstdint>
#include <string>
#include <vector>

using namespace test;

namespace {

/// The build that comes back: a restart with another support.
void replace(core_pair& p, core_side& s, const protocol_support& support) {
  s.support = support;
  p.crash(s);
}

void start_with(core_pair& p, const protocol_support& a, const protocol_support& b) {
  replace(p, p.a, a);
  replace(p, p.b, b);
  p.connect();
}

std::uint8_t version_of(const std::vector<std::byte>& frame) {
  return std::to_integer<std::uint8_t>(frame[2]);
}

void seal(std::vector<std::byte>& frame) {
  wire_writer writer(frame);
  writer.number(crc32c(frame));
}

/// Adds a record of the future that may be skipped.
void add_record(std::vector<std::byte>& frame) {
  frame.resize(frame.size() - checksum_size);
  wire_writer writer(frame);
  writer.number(std::uint8_t{0x91});
  writer.varint(3);
  writer.raw(std::as_bytes(std::span("new", 3)));
  seal(frame);
}

}  // namespace

TEST_CASE("a session has the features that both builds understand") {
  core_pair p;
  start_with(p, {1, 1, 0b0110, 0}, {1, 1, 0b1011, 0b0010});
  REQUIRE(p.until([&] { return p.established(); }));
  CHECK(p.a->features() == 0b0010);
  CHECK(p.b->features() == 0b0010);
  p.disconnect();
  CHECK(p.a->features() == 0);
}

TEST_CASE("features are forgotten when the peer comes back as an older build") {
  core_pair p;
  start_with(p, {1, 1, 0b1, 0}, {1, 1, 0b1, 0});
  REQUIRE(p.until([&] { return p.established(); }));
  REQUIRE(p.a->features() == 0b1);
  replace(p, p.b, {});
  REQUIRE(p.until([&] { return p.established(); }));
  CHECK(p.a->features() == 0);
  CHECK(p.b->features() == 0);
}

TEST_CASE("a session has the highest version that both builds speak") {
  core_pair p;
  std::vector<std::uint8_t> versions;
  p.filter = [&](bool, const std::vector<std::byte>& frame) {
    versions.push_back(version_of(frame));
    return true;
  };
  start_with(p, {1, 3, 0, 0}, {2, 7, 0, 0});
  p.a.send("text");
  REQUIRE(p.settle());
  CHECK(std::all_of(versions.begin(), versions.end(), [](unsigned v) { return v == 0 || v == 3; }));
  CHECK(std::count(versions.begin(), versions.end(), 3) > 0);
}

TEST_CASE("builds without a common version tell both sides which to upgrade, and keep everything") {
  core_pair p;
  start_with(p, {1, 2, 0, 0}, {3, 4, 0, 0});
  p.a.send("from a");
  p.b.send("from b");
  p.run_for(60s);
  CHECK(p.a->state() == phase::incompatible);
  CHECK(p.b->state() == phase::incompatible);
  REQUIRE(p.a.count(event_kind::peer_incompatible) == 1);
  REQUIRE(p.b.count(event_kind::peer_incompatible) == 1);
  CHECK(p.a.find(event_kind::peer_incompatible).error == error::peer_version_too_new);
  CHECK(p.a.find(event_kind::peer_incompatible).peer_versions == version_range{3, 4});
  CHECK(p.b.find(event_kind::peer_incompatible).error == error::peer_version_too_old);
  CHECK(p.b.find(event_kind::peer_incompatible).peer_versions == version_range{1, 2});
  CHECK(p.a.consumed.empty());
  replace(p, p.a, {1, 3, 0, 0});
  REQUIRE(p.settle());
  CHECK(p.a.texts() == std::vector<std::string>{"from b"});
  CHECK(p.b.texts() == std::vector<std::string>{"from a"});
}

TEST_CASE(
    "a peer is no stranger any more once it said a hello, also one of a build that does not fit") {
  core_pair p;
  bool versions = GENERATE(true, false);
  replace(p, p.a, {1, 2, 0, 0});
  replace(p, p.b, versions ? protocol_support{3, 4, 0, 0} : protocol_support{1, 2, 1, 1});
  CHECK(p.a->is_stranger());
  p.filter = [](bool, const std::vector<std::byte>& sent) {
    frame f;
    return !read_frame(sent, {}, f) && !f.hello;
  };
  p.connect();
  p.run_for(1s);
  CHECK(p.a->is_stranger());
  p.filter = nullptr;
  p.run_for(60s);
  CHECK(p.a->state() == phase::incompatible);
  CHECK_FALSE(p.a->is_stranger());
  CHECK_FALSE(p.b->is_stranger());
  // Nothing was stored, so the next life has not heard of the peer.
  p.crash(p.a);
  CHECK(p.a->is_stranger());
}

TEST_CASE("a required feature that the other build lacks is named on both sides") {
  bool of_a = GENERATE(true, false);
  core_pair p;
  core_side& requires_it = of_a ? p.a : p.b;
  core_side& lacks_it = of_a ? p.b : p.a;
  requires_it.support = {1, 2, 0b1100, 0b0100};
  lacks_it.support = {1, 3, 0b1000, 0};
  start_with(p, p.a.support, p.b.support);
  requires_it.send("text");
  p.run_for(60s);
  p.reconnect();
  p.run_for(60s);
  REQUIRE(requires_it.count(event_kind::peer_incompatible) == 1);
  REQUIRE(lacks_it.count(event_kind::peer_incompatible) == 1);
  const event_record& at_one = requires_it.find(event_kind::peer_incompatible);
  const event_record& at_other = lacks_it.find(event_kind::peer_incompatible);
  CHECK(at_one.error == error::feature_missing_at_peer);
  CHECK(at_other.error == error::feature_missing_here);
  CHECK(at_one.features == 0b0100);
  CHECK(at_other.features == 0b0100);
  CHECK(at_one.peer_versions == version_range{1, 3});
  CHECK(at_other.peer_versions == version_range{1, 2});
  CHECK_FALSE(p.established());
  replace(p, lacks_it, {1, 1, 0b0100, 0});
  REQUIRE(p.settle());
  CHECK(lacks_it.texts() == std::vector<std::string>{"text"});
  // The same conflict again, after a session, is another one.
  replace(p, lacks_it, {});
  p.run_for(60s);
  CHECK(requires_it.count(event_kind::peer_incompatible) == 2);
}

TEST_CASE("of two builds that each require what the other lacks, each names its own lack") {
  core_pair p;
  start_with(p, {1, 1, 0b01, 0b01}, {1, 1, 0b10, 0b10});
  p.run_for(10s);
  const event_record& at_a = p.a.find(event_kind::peer_incompatible);
  const event_record& at_b = p.b.find(event_kind::peer_incompatible);
  CHECK(at_a.error == error::feature_missing_here);
  CHECK(at_b.error == error::feature_missing_here);
  CHECK(at_a.features == 0b10);
  CHECK(at_b.features == 0b01);
}

TEST_CASE("an established session ends when the peer comes back as a build that does not fit") {
  bool seen = GENERATE(true, false);
  core_pair p;
  start_with(p, {1, 1, 0b1, 0b1}, {1, 1, 0b1, 0});
  REQUIRE(p.until([&] { return p.established(); }));
  p.filter = [](bool to_a, const auto&) { return to_a; };
  p.a.send("under way");
  p.run_for(10ms);
  REQUIRE(p.a->in_flight() == 1);
  p.filter = nullptr;
  p.b.support = {};
  p.crash(p.b, seen);
  p.run_for(10s);
  CHECK(p.a->in_flight() == 0);
  CHECK(p.a.count(event_kind::peer_disconnected) == 1);
  CHECK(p.a.count(event_kind::peer_incompatible) == 1);
  CHECK(p.b.count(event_kind::peer_incompatible) == 1);
}

TEST_CASE("records of a later version that may be skipped change nothing") {
  core_pair p;
  p.alter = [](bool, std::vector<std::byte>& frame) { add_record(frame); };
  p.connect();
  std::vector<std::string> all = numbered("m", 300);
  for (const std::string& text : all) p.a.send(text);
  REQUIRE(p.settle());
  CHECK(p.b.texts() == all);
  CHECK(p.b->rejected_frames() == 0);
}

TEST_CASE("a frame of a version that is not spoken is answered, once in a while") {
  core_pair p;
  std::vector<version_range> answers;
  p.filter = [&](bool to_a, const std::vector<std::byte>& frame) {
    protocol::frame f;
    if (to_a && !read_frame(frame, {}, f) && f.versions) answers.push_back(*f.versions);
    return true;
  };
  p.connect();
  auto foreign = [&] {
    std::vector<std::byte> frame;
    frame_header head;
    head.version = 9;
    frame_writer writer(frame, head, true, 4096);
    writer.finish();
    p.b->handle_frame(frame, p.now);
    p.run_for(100ms);
  };
  for (int i = 0; i < 20; ++i) foreign();
  CHECK(answers == std::vector<version_range>{{1, 1}});
  p.run_for(10s);
  for (int i = 0; i < 20; ++i) foreign();
  CHECK(answers.size() == 2);
  CHECK(p.established());
}

TEST_CASE("an answer that names other versions is reported once, and not while a session is open") {
  core_pair p;
  auto answer = [&](std::uint8_t lowest, std::uint8_t highest) {
    std::vector<std::byte> frame;
    frame_writer writer(frame, {}, true, 4096);
    writer.versions({lowest, highest});
    writer.finish();
    p.a->handle_frame(frame, p.now);
    while (p.operate()) {
    }
  };
  p.a->handle_session_up(p.now);
  answer(1, 4);
  CHECK(p.a.count(event_kind::peer_incompatible) == 0);
  answer(2, 4);
  answer(2, 4);
  REQUIRE(p.a.count(event_kind::peer_incompatible) == 1);
  CHECK(p.a.find(event_kind::peer_incompatible).peer_versions == version_range{2, 4});
  p.connect();
  REQUIRE(p.until([&] { return p.established(); }));
  answer(2, 4);
  CHECK(p.a.count(event_kind::peer_incompatible) == 1);
  CHECK(p.established());
}

TEST_CASE("upgrades and downgrades of either side lose, repeat and disorder nothing") {
  const std::vector<protocol_support> builds{
      {}, {1, 2, 0b0001, 0}, {1, 2, 0b0111, 0}, {2, 3, 0b0111, 0b0001}, {2, 2, 0b0011, 0b0010},
  };
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO(seed);
    core_pair p({}, seed);
    random_source chance(seed);
    p.faults.loss = p.faults.repetition = seed % 3 == 0 ? 10 : 0;
    p.shuffled = true;
    bool adds_records = seed % 2 == 0;
    p.alter = [&](bool to_a, std::vector<std::byte>& frame) {
      if (adds_records && to_a) add_record(frame);
    };
    p.connect();
    std::size_t sent = 0;
    for (int round = 0; round < 30; ++round) {
      for (std::uint64_t n = chance.below(20); n > 0; --n) {
        std::string text = std::to_string(++sent);
        p.a.send("a" + text);
        p.b.send("b" + text);
      }
      p.run_for(std::chrono::milliseconds(chance.below(400)));
      core_side& changed = chance.below(2) == 0 ? p.a : p.b;
      replace(p, changed, builds[as_size(chance.below(builds.size()))]);
    }
    replace(p, p.a, {1, 2, 0b0111, 0});
    replace(p, p.b, {});
    REQUIRE(p.settle());
    CHECK(p.b.texts() == p.a.sent);
    CHECK(p.a.texts() == p.b.sent);
    for (event_kind wrong : {event_kind::gap, event_kind::peer_reset, event_kind::rolled_back,
                             event_kind::peer_rolled_back, event_kind::store_lost}) {
      CHECK(p.a.count(wrong) + p.b.count(wrong) == 0);
    }
    // Frames of the version before the downgrade may still be under way.
    for (const core_side* s : {&p.a, &p.b}) {
      for (const event_record& e : s->events) {
        if (e.kind == event_kind::frame_rejected) CHECK(e.error == error::unsupported_version);
      }
    }
  }
}
