#include "support/catch.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/crc32c.hpp>

#include <set>

using namespace test;
using ilm::protocol::hello_record;

// Each bad frame is dropped, counted, and reported as an event; traffic goes on.

namespace {

struct scene {
  scene() : a(w.make("a")), b(w.make("b")) {
    a.start();
    a.watch();
    b.start();
    w.run_for(100ms);
    x.emplace(w, "x", "a");
    REQUIRE(x->open());
  }

  /// Sends the frame; expects that it is counted, that the first one with this error is told, and
  /// that traffic with all goes on.
  void refuses(bytes_vector frame, ilm::error why) {
    a.events().clear();
    std::uint64_t before = a.statistics_of("x").frames_rejected;
    x->put(std::move(frame));
    w.run_for(50ms);
    CHECK(a.statistics_of("x").frames_rejected == before + 1);
    if (told.insert(why).second) {
      REQUIRE(a.count(ilm::event_kind::frame_rejected) == 1);
      CHECK(a.find(ilm::event_kind::frame_rejected)->error == why);
      CHECK(a.find(ilm::event_kind::frame_rejected)->peer == "x");
    }
    goes_on();
  }

  /// The session has ended; a hello tells that nothing is wrong, and nothing is lost.
  void asks_by_hello() {
    CHECK(a.count(ilm::event_kind::peer_disconnected) == 1);
    a.events().clear();
    store_all(w, a, "x", {"kept"});
    CHECK(a.disk().size(ilm::queue::outbox) == 1);
    x->meet();
    REQUIRE(x->open());
    goes_on();
    CHECK(a.count(ilm::event_kind::rolled_back) == 0);
  }

  void goes_on() {
    ++sent;
    x->put(x->data_frame(sent, {"good"}));
    b.send("a", "good too");
    w.run_for(50ms);
    CHECK(a.app().texts_from("x").size() == sent);
    CHECK(a.app().texts_from("b").size() == sent);
    CHECK(a.count(ilm::event_kind::peer_disconnected) == 0);
  }

  std::set<ilm::error> told;
  world w;
  peer a, b;
  std::optional<raw_peer> x;
  std::uint64_t sent = 0;
};

}  // namespace

TEST_CASE("a hello that names another source than the network does is refused", "[predecessor]") {
  scene s;
  std::string other = "somebody else";
  s.refuses(s.x->hello_frame(1, false,
                             [&](hello_record& h) {
                               h.source = std::as_bytes(std::span(other.data(), other.size()));
                             }),
            ilm::error::mismatched_source);
}

TEST_CASE("a hello for another destination is refused") {
  scene s;
  std::string other = "b";
  s.refuses(s.x->hello_frame(1, false,
                             [&](hello_record& h) {
                               h.destination = std::as_bytes(std::span(other.data(), other.size()));
                             }),
            ilm::error::wrong_destination);
}

TEST_CASE("a malformed frame is refused") {
  scene s;
  s.refuses({}, ilm::error::malformed_frame);
  s.refuses(bytes_vector(3), ilm::error::malformed_frame);
  s.refuses(bytes_vector(100, std::byte{0xff}), ilm::error::malformed_frame);
}

TEST_CASE("a truncated frame without a checksum is refused at any length") {
  scene s;
  bytes_vector whole = s.x->data_frame(1000, {"contents"});
  whole[3] = std::byte{0};  // says: no checksum
  whole.resize(whole.size() - 4);
  for (std::size_t size : {15U, 17U, 21U, 25U, 30U, 37U, 40U, 52U}) {
    bytes_vector part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    s.refuses(part, ilm::error::malformed_frame);
  }
}

TEST_CASE("a frame with a flipped bit is refused") {
  scene s;
  bytes_vector frame = s.x->data_frame(1, {"good"});
  frame.back() ^= std::byte{1};
  s.refuses(frame, ilm::error::checksum_mismatch);
  frame = s.x->data_frame(2, {"good"});
  frame[20] ^= std::byte{0x40};
  s.refuses(frame, ilm::error::checksum_mismatch);
}

TEST_CASE("a frame of another version is refused") {
  scene s;
  s.refuses(s.x->ping_frame(9), ilm::error::unsupported_version);
}

TEST_CASE("a frame beyond the network's limit is refused") {
  scene s;
  s.refuses(s.x->data_frame(1, {std::string((1 << 20) + 1, 'x')}), ilm::error::frame_too_large);
}

TEST_CASE("an acknowledgement of a message that was never sent is refused") {
  for (bool early : {true, false}) {
    scene s;
    ilm::protocol::ack_record a = s.x->ack_of(0);
    if (early) {
      a.ranges.push_back(ilm::sequence_range{2, 3});
    } else {
      a.echo = 1;
    }
    s.x->put(s.x->ack_frame(a));
    s.w.run_for(50ms);
    REQUIRE(s.a.count(ilm::event_kind::frame_rejected) == 1);
    CHECK(s.a.find(ilm::event_kind::frame_rejected)->error == ilm::error::acknowledged_unsent);
    // Another life of this side may have sent it.
    s.asks_by_hello();
  }
}

TEST_CASE("a cursor beyond what was sent ends the session, and a hello tells whether it is true") {
  scene s;
  s.x->put(s.x->ack_frame(s.x->ack_of(1)));
  s.w.run_for(50ms);
  CHECK(s.a.count(ilm::event_kind::frame_rejected) == 0);
  s.asks_by_hello();
  CHECK(s.x->data() == std::vector<std::uint64_t>{1});
  CHECK(s.a.disk().size(ilm::queue::outbox) == 1);
}

TEST_CASE("an acknowledgement whose cursors contradict one another is refused") {
  scene s;
  ilm::protocol::ack_record a = s.x->ack_of(0);
  a.claim.delivered = 1;
  s.refuses(s.x->ack_frame(a), ilm::error::cursor_out_of_range);
  a = s.x->ack_of(0);
  a.ranges = {ilm::sequence_range{5, 6}, ilm::sequence_range{3, 3}};
  s.refuses(s.x->ack_frame(a), ilm::error::cursor_out_of_range);
}

TEST_CASE("a hello whose cursors contradict one another is refused") {
  scene s;
  auto spoil = [&](auto change) { return s.x->hello_frame(1, false, change); };
  s.refuses(spoil([](hello_record& h) { h.first = 0; }), ilm::error::cursor_out_of_range);
  s.refuses(spoil([](hello_record& h) { h.first = ~std::uint64_t{0}; }),
            ilm::error::cursor_out_of_range);
  s.refuses(spoil([](hello_record& h) { h.claim.delivered = 1; }), ilm::error::cursor_out_of_range);
  s.refuses(spoil([](hello_record& h) { h.claim.acknowledged = ~std::uint64_t{0}; }),
            ilm::error::cursor_out_of_range);
}

TEST_CASE("data beyond the largest sequence is refused") {
  scene s;
  s.refuses(s.x->data_frame(~std::uint64_t{0}, {"x"}), ilm::error::cursor_out_of_range);
}

TEST_CASE("credit beyond any bound is refused") {
  scene s;
  ilm::protocol::ack_record a = s.x->ack_of(0);
  a.credit.sequence = std::uint64_t{1} << 40;
  s.refuses(s.x->ack_frame(a), ilm::error::credit_out_of_range);
  a = s.x->ack_of(0);
  a.credit.bytes = std::uint64_t{1} << 60;
  s.refuses(s.x->ack_frame(a), ilm::error::credit_out_of_range);
  s.refuses(s.x->hello_frame(1, false, [](hello_record& h) { h.credit.bytes = ~std::uint64_t{0}; }),
            ilm::error::credit_out_of_range);
}

TEST_CASE("data beyond the credit is refused") {
  scene s;
  s.refuses(s.x->data_frame(1'000'000, {"x"}), ilm::error::credit_exceeded);
}

TEST_CASE("random bytes never do harm") {
  scene s;
  std::uint64_t state = 1;
  for (int i = 0; i < 2000; ++i) {
    bytes_vector frame =
        i % 2 == 0 ? s.x->hello_frame(s.x->theirs.nonce, true) : s.x->ack_frame(s.x->ack_of(0));
    for (int flips = 0; flips <= i % 5; ++flips) {
      state = state * 6364136223846793005U + 1442695040888963407U;
      frame[(state >> 33) % frame.size()] = static_cast<std::byte>(state >> 25);
    }
    s.x->put(frame);
  }
  s.w.run_for(1s);
  s.a.events().clear();
  s.goes_on();
}
