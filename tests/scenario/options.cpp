#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/frame.hpp>

#include <functional>

using namespace test;

namespace {

/// The text with which construction fails; empty if it does not.
std::string refusal(const std::function<void(ilm::options&)>& spoil, std::size_t frame = 1 << 20) {
  world w(1, frame);
  peer a = w.make("a");
  ilm::options o;
  spoil(o);
  try {
    a.start(o);
  } catch (const std::system_error& e) {
    CHECK(e.code() == ilm::error::invalid_options);
    return e.what();
  }
  return {};
}

}  // namespace

TEST_CASE("contradictory options are refused with a text that names them") {
  CHECK(refusal([](ilm::options&) {}).empty());
  CHECK_THAT(refusal([](ilm::options& o) { o.window_messages = 0; }),
             ContainsSubstring("window_messages"));
  CHECK_THAT(refusal([](ilm::options& o) { o.credit_messages = 0; }),
             ContainsSubstring("credit_messages"));
  CHECK_THAT(refusal([](ilm::options& o) { o.uncommitted_messages = 0; }),
             ContainsSubstring("uncommitted_messages"));
  CHECK_THAT(refusal([](ilm::options& o) { o.page_messages = 0; }),
             ContainsSubstring("page_messages"));
  CHECK_THAT(refusal([](ilm::options& o) { o.page_bytes = 0; }), ContainsSubstring("page_bytes"));
  CHECK_THAT(refusal([](ilm::options& o) { o.frame_fill = 0; }), ContainsSubstring("frame_fill"));
  CHECK_THAT(refusal([](ilm::options& o) { o.event_limit = 0; }), ContainsSubstring("event_limit"));
  CHECK_THAT(refusal([](ilm::options& o) { o.window_bytes = 1; }),
             ContainsSubstring("window_bytes") && ContainsSubstring("maximum_message_size"));
  CHECK_THAT(refusal([](ilm::options& o) { o.credit_bytes = 1; }),
             ContainsSubstring("credit_bytes") && ContainsSubstring("maximum_message_size"));
  CHECK_THAT(refusal([](ilm::options& o) { o.uncommitted_bytes = 1; }),
             ContainsSubstring("uncommitted_bytes") && ContainsSubstring("maximum_message_size"));
  CHECK_THAT(refusal([](ilm::options& o) { o.keepalive_timeout = 1s; }),
             ContainsSubstring("keepalive_timeout") && ContainsSubstring("keepalive_interval"));
  CHECK_THAT(refusal([](ilm::options& o) { o.keepalive_interval = -1s; }),
             ContainsSubstring("keepalive_interval"));
  CHECK_THAT(refusal([](ilm::options& o) { o.cursor_commit_delay = -1ms; }),
             ContainsSubstring("cursor_commit_delay"));
  CHECK_THAT(refusal([](ilm::options& o) { o.maximum_timeout = 1ms; }),
             ContainsSubstring("timeout"));
  CHECK_THAT(refusal([](ilm::options& o) { o.maximum_redelivery_delay = 1ms; }),
             ContainsSubstring("redelivery"));
  CHECK_THAT(refusal([](ilm::options& o) { o.maximum_store_retry = 1ms; }),
             ContainsSubstring("store_retry"));
  CHECK_THAT(refusal([](ilm::options&) {}, 100), ContainsSubstring("maximum_frame_size"));
}

TEST_CASE("contents beyond the limit are refused, and at the limit they pass") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options small;
  small.maximum_message_size = 1000;
  a.start(small);
  b.start(small);
  auto fits = store_all(w, a, "b", {std::string(1000, 'x')});
  auto exceeds = store_all(w, a, "b", {std::string(1001, 'x')});
  CHECK_FALSE(fits[0]->error);
  CHECK(exceeds[0]->error == ilm::error::message_too_large);
  CHECK(exceeds[0]->error == std::errc::message_size);
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 1; }));
  CHECK(b.app().consumed[0].contents.size() == 1000);
}

TEST_CASE("the network's frame bounds the contents as well") {
  world w(1, 2048);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  CHECK(store_all(w, a, "b", {std::string(2048, 'x')})[0]->error == ilm::error::message_too_large);
  std::size_t largest = 2048 - ilm::protocol::frame_overhead;
  CHECK(store_all(w, a, "b", {std::string(largest + 1, 'x')})[0]->error ==
        ilm::error::message_too_large);
  CHECK(all_stored(store_all(w, a, "b", {std::string(largest, 'x'), "next"})));
  REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 2; }));
  CHECK(b.app().consumed[0].contents.size() == largest);
}

TEST_CASE("a message that the peer never accepts blocks its stream, with an event, and no other") {
  world w;
  peer a = w.make("a"), b = w.make("b"), c = w.make("c");
  ilm::options small;
  small.maximum_message_size = 100;
  a.start();
  b.start(small);
  c.start();
  a.watch();
  store_all(w, a, "b", {"0", std::string(200, 'x'), "2"});
  store_all(w, a, "c", {"0"});
  w.run_for(10s);
  CHECK(b.app().texts() == numbered(1));
  CHECK(c.app().texts() == numbered(1));
  REQUIRE(a.count(ilm::event_kind::stream_blocked) == 1);
  const event& e = *a.find(ilm::event_kind::stream_blocked);
  CHECK(e.peer == "b");
  CHECK(e.outbound == ilm::sequence_range{2, 2});
  CHECK(e.error == ilm::error::message_too_large);
  // A peer that accepts more is all that it needs.
  crash(w, b);
  b.start();
  REQUIRE(w.until([&] { return empty(a); }));
  CHECK(b.app().consumed.size() == 3);
}

TEST_CASE("a peer id that encodes to no bytes or too many is refused") {
  world w;
  peer a = w.make("a");
  a.start();
  w.run_for(10ms);
  CHECK(store_all(w, a, "", {"x"})[0]->error == ilm::error::invalid_peer_id);
  CHECK(store_all(w, a, std::string(256, 'n'), {"x"})[0]->error == ilm::error::invalid_peer_id);
  CHECK(all_stored(store_all(w, a, std::string(255, 'n'), {"x"})));
  peer nameless = w.make("");
  CHECK_THROWS_AS(nameless.start(), std::system_error);
}

TEST_CASE("a receiver accepts frames without checksums beside those that have them") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options bare;
  bare.checksum = false;
  a.start(bare);
  b.start();
  store_all(w, a, "b", numbered(20));
  store_all(w, b, "a", numbered(20));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  CHECK(a.app().texts() == numbered(20));
  CHECK(b.app().texts() == numbered(20));
}
