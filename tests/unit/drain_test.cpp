// The contract of the core as it is written: hand it an input, then drain its outputs, in any
// order.

#include "support/as_size.hpp"
#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <array>
#include <optional>
#include <vector>

using namespace test;

namespace {

/// Drains one core in an order that chance chooses.
class drainer {
 public:
  drainer(core_side& s, std::uint64_t seed) : s_(s), chance_(seed) {}

  /// How many outputs there were; a thousand stand for "without end".
  std::size_t drain(timestamp now) {
    std::size_t given = 0;
    for (std::array<bool, 6> empty{}; given < 1000;) {
      std::size_t which = as_size(chance_.below(empty.size()));
      if (poll(which, now)) {
        ++given;
        empty = {};
      } else {
        empty[which] = true;
        if (std::all_of(empty.begin(), empty.end(), [](bool e) { return e; })) break;
      }
    }
    return given;
  }

  std::optional<store_change> change;
  std::vector<page_request> pages;
  const stored_message* delivery = nullptr;
  std::vector<std::vector<std::byte>> frames;
  std::vector<send_result> results;

 private:
  bool poll(std::size_t which, timestamp now) {
    switch (which) {
      case 0:
        if (std::optional<store_change> c = s_->poll_change(now)) {
          REQUIRE_FALSE(change);
          change = std::move(c);
          return true;
        }
        return false;
      case 1:
        if (std::optional<page_request> r = s_->poll_page(now)) return pages.push_back(*r), true;
        return false;
      case 2:
        if (const stored_message* m = s_->poll_delivery(now)) {
          REQUIRE(delivery == nullptr);
          delivery = m;
          return true;
        }
        return false;
      case 3: {
        std::vector<std::byte> frame;
        return s_->poll_frame(frame, now) && (frames.push_back(frame), true);
      }
      case 4:
        if (std::optional<send_result> r = s_->poll_send_result()) {
          return results.push_back(*r), true;
        }
        return false;
      default:
        return s_->poll_event().has_value();
    }
  }

  core_side& s_;
  random_source chance_;
};

/// Does all the work that was given out.
void finish(core_side& s, drainer& d, timestamp now) {
  if (d.change) {
    s.disk.commit(*std::exchange(d.change, {}));
    s->handle_committed(now);
  }
  for (const page_request& r : std::exchange(d.pages, {})) {
    s->handle_page(
        r, model_store::read(r.source() == queue::outbox ? s.disk.outbox : s.disk.inbox, r), now);
  }
  if (std::exchange(d.delivery, nullptr) != nullptr) s->handle_consumed(now);
}

}  // namespace

TEST_CASE("draining the outputs ends in every order, and all work done it brings everything over") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    core_pair p({}, seed);
    drainer a(p.a, seed), b(p.b, seed + 100);
    for (std::uint64_t i = 1; i <= 10; ++i) {
      REQUIRE_FALSE(p.a->handle_send(send_id{i}, bytes("text " + std::to_string(i))));
    }
    p.a->handle_session_up(p.now);
    p.b->handle_session_up(p.now);
    timestamp end = p.now + 10s;
    for (; p.now < end && p.a->outbox_depth() > 0; p.now += 1ms) {
      p.a->handle_timeout(p.now);
      p.b->handle_timeout(p.now);
      REQUIRE(a.drain(p.now) < 1000);
      REQUIRE(b.drain(p.now) < 1000);
      for (const auto& frame : std::exchange(a.frames, {})) p.b->handle_frame(frame, p.now);
      for (const auto& frame : std::exchange(b.frames, {})) p.a->handle_frame(frame, p.now);
      finish(p.a, a, p.now);
      finish(p.b, b, p.now);
    }
    INFO(seed);
    CHECK(p.a->outbox_depth() == 0);
    REQUIRE(a.results.size() == 10);
    for (std::size_t i = 1; i <= 10; ++i) {
      CHECK(a.results[i - 1].id == send_id{i});
      CHECK(a.results[i - 1].sequence == i);
    }
  }
}

TEST_CASE("outputs are given once while the work that they gave is not done") {
  core_pair p;
  drainer a(p.a, 1);
  REQUIRE_FALSE(p.a->handle_send(send_id{1}, bytes("text")));
  p.a->handle_session_up(p.now);
  CHECK(a.drain(p.now) == 2);  // a change, and a challenge
  CHECK(a.drain(p.now) == 0);
  CHECK_FALSE(p.a->has_due_change(p.now));
  finish(p.a, a, p.now);
  CHECK(a.drain(p.now) == 1);  // the end of the send
}

TEST_CASE("a page that fails is reported once, named if it is damaged, and asked for again later") {
  core_pair p;
  for (int i = 0; i < 3; ++i) p.a.send("text");
  p.run_for(1s);
  auto lost = std::exchange(p.a.disk.outbox, {});
  REQUIRE(lost.size() == 3);
  p.a.crash();
  p.a.start();
  p.connect();
  p.run_for(1s);
  CHECK(p.a.count(event_kind::store_failed) == 1);
  CHECK(p.a.find(event_kind::store_failed).error == error::store_corrupt);
  CHECK(p.a.find(event_kind::store_failed).outbound == sequence_range{1, 1});
  p.a.disk.outbox = lost;
  p.run_for(5s);
  CHECK(p.b.consumed.size() == 3);
  CHECK(p.a.count(event_kind::store_failed) == 1);
}

TEST_CASE("the event of a delivery that failed has the text that was thrown") {
  using ilm::detail::failure;
  core_pair p;
  p.connect();
  p.b.application_up = false;
  p.a.send("first");
  p.run_for(1s);
  REQUIRE(p.b->poll_delivery(p.now) != nullptr);
  p.b->handle_delivery_failed(failure(error::exception_without_code, "order book is closed"),
                              p.now);
  event_record e = p.b->poll_event().value();
  CHECK(e.kind == event_kind::delivery_failed);
  CHECK(e.error == error::exception_without_code);
  CHECK(e.text == "order book is closed");
}

TEST_CASE("a delivery that fails is reported, and the same message is offered again later") {
  core_pair p;
  p.connect();
  p.b.application_up = false;
  p.a.send("first");
  p.a.send("second");
  p.run_for(1s);
  timestamp now = p.now;
  for (duration wait : {10ms, 20ms, 40ms}) {
    const stored_message* m = p.b->poll_delivery(now);
    REQUIRE(m != nullptr);
    CHECK(m->contents.text() == "first");
    CHECK_FALSE(p.b->has_delivery(now));
    p.b->handle_delivery_failed(error::inbox_closed, now);
    CHECK(p.b->poll_event().value().inbound == sequence_range{1, 1});
    CHECK(p.b->deadline() <= now + wait);
    CHECK(p.b->poll_delivery(now + wait - 1ns) == nullptr);
    now += wait;
    p.b->handle_timeout(now);
  }
  REQUIRE(p.b->poll_delivery(now) != nullptr);
  p.b->handle_consumed(now);
  CHECK(p.b->poll_delivery(now)->contents.text() == "second");
}
