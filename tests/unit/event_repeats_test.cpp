#include "support/catch.hpp"
#include "support/names.hpp"

#include <ilm/error.hpp>
#include <ilm/runtime/event_repeats.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

using ilm::event_kind;
using ilm::event_record;
using ilm::runtime::event_repeats;
using ilm::runtime::named_event;
using namespace std::chrono_literals;

namespace {

struct fixture {
  named_event from(const std::string& id, event_kind kind = event_kind::frame_rejected,
                   std::error_code why = ilm::error::malformed_frame) {
    return {test::met(names, id), event_record(kind, why)};
  }
  named_event from_stranger(const std::string& id) {
    return {names.mention(id),
            event_record(event_kind::network_problem, ilm::error::malformed_frame)};
  }
  /// How many sums are told up to `end`, where `e` comes each second from `begin` on.
  std::uint64_t sums(const named_event& e, std::chrono::seconds begin, std::chrono::seconds end) {
    std::uint64_t told = 0;
    for (auto now = begin; now <= end; now += 1s) {
      while (std::optional<named_event> sum = repeats.poll(now)) {
        ++told;
        counted += sum->record.count;
      }
      if (repeats.handle_event(e, now)) ++counted;
    }
    return told;
  }

  test::name_table names{"self"};
  event_repeats repeats;
  std::uint64_t counted = 0;
};

}  // namespace

TEST_CASE_METHOD(fixture, "the first event of a kind is told at once, and the rest as a sum") {
  CHECK(repeats.handle_event(from("bob"), 0s));
  CHECK_FALSE(repeats.handle_event(from("bob"), 1s));
  CHECK_FALSE(repeats.handle_event(from("bob"), 9s));
  CHECK_FALSE(repeats.poll(9s));
  CHECK(repeats.deadline() == 10s);
  std::optional<named_event> sum = repeats.poll(10s);
  REQUIRE(sum);
  CHECK(sum->peer == test::met(names, "bob"));
  CHECK(sum->record.kind == event_kind::frame_rejected);
  CHECK(sum->record.count == 2);
  CHECK_FALSE(repeats.poll(10s));
}

TEST_CASE_METHOD(fixture, "peers, kinds and errors repeat each for itself") {
  CHECK(repeats.handle_event(from("bob"), 0s));
  CHECK(repeats.handle_event(from("carol"), 0s));
  CHECK(repeats.handle_event(from("bob", event_kind::delivery_failed), 0s));
  CHECK(repeats.handle_event(from("bob", event_kind::frame_rejected, ilm::error::frame_too_large),
                             0s));
  CHECK_FALSE(repeats.handle_event(from("carol"), 0s));
}

TEST_CASE_METHOD(fixture, "events that tell what happened to messages are never held back") {
  for (event_kind kind : {event_kind::peer_reset, event_kind::gap, event_kind::rolled_back}) {
    for (int i = 0; i < 3; ++i) CHECK(repeats.handle_event(from("bob", kind), 0s));
  }
  CHECK(repeats.deadline() == ilm::protocol::never);
}

TEST_CASE_METHOD(fixture, "a day of failures each second is some dozens of sums, and all counted") {
  std::uint64_t told = sums(from("bob"), 0s, 24h);
  CHECK(told > 24);
  CHECK(told < 40);
  while (std::optional<named_event> sum = repeats.poll_last()) counted += sum->record.count;
  CHECK(counted == 24 * 3600 + 1);
}

TEST_CASE_METHOD(fixture,
                 "after a quiet interval the next event is told at once, and none is kept") {
  sums(from("bob"), 0s, 100s);
  while (repeats.deadline() != ilm::protocol::never) repeats.poll(repeats.deadline());
  CHECK(repeats.handle_event(from("bob"), 1h));
  CHECK_FALSE(repeats.handle_event(from("bob"), 1h + 5s));
  CHECK(repeats.poll(1h + 10s));
}

TEST_CASE_METHOD(fixture, "a sum has the ranges of all, and the text of the last") {
  for (std::uint64_t s : {5U, 3U, 9U}) {
    named_event e = from("bob", event_kind::delivery_failed);
    e.record.inbound = {s, s};
    e.record.text = std::to_string(s);
    repeats.handle_event(e, 0s);
  }
  std::optional<named_event> sum = repeats.poll(10s);
  REQUIRE(sum);
  CHECK(sum->record.inbound == ilm::sequence_range{3, 9});
  CHECK(sum->record.text == "9");
}

TEST_CASE_METHOD(fixture, "strangers beyond a bound share one sum, which names none of them") {
  std::size_t told = 0;
  for (int i = 0; i < 10'000; ++i) {
    told += repeats.handle_event(from_stranger("x" + std::to_string(i)), 0s) ? 1U : 0U;
  }
  CHECK(told == ilm::runtime::most_repeating_strangers + 1);
  CHECK(repeats.handle_event(from("bob", event_kind::network_problem), 0s));
  std::optional<named_event> sum = repeats.poll(10s);
  REQUIRE(sum);
  CHECK(sum->peer == nullptr);
  CHECK(sum->record.count == 10'000 - told);
  CHECK_FALSE(repeats.poll(10s));
}

TEST_CASE_METHOD(fixture, "invented names take no place of a peer that the store has") {
  for (std::size_t i = 0; i < 2 * ilm::runtime::most_repeating_events; ++i) {
    named_event e = from("x" + std::to_string(i));
    names.find("x" + std::to_string(i))->in_store = false;  // It only asked for a handshake.
    repeats.handle_event(e, 0s);
  }
  CHECK(repeats.handle_event(from("bob"), 0s));
  CHECK_FALSE(repeats.handle_event(from("bob"), 1s));
  bool named = false;
  while (std::optional<named_event> sum = repeats.poll(10s)) {
    named = named || (sum->peer && sum->peer->readable() == "bob");
  }
  CHECK(named);
}

TEST_CASE_METHOD(fixture, "a stranger that repeats itself is summed up under its name") {
  CHECK(repeats.handle_event(from_stranger("x"), 0s));
  CHECK_FALSE(repeats.handle_event(from_stranger("x"), 0s));
  std::optional<named_event> sum = repeats.poll(10s);
  REQUIRE(sum);
  REQUIRE(sum->peer);
  CHECK(sum->peer->readable() == "x");
}

TEST_CASE_METHOD(fixture, "strangers that have been quiet leave their places to others") {
  using ilm::runtime::most_repeating_strangers;
  for (int round = 0; round < 3; ++round) {
    auto now = round * 1h;
    for (std::size_t i = 0; i < most_repeating_strangers; ++i) {
      std::string name = std::to_string(round) + " " + std::to_string(i);
      CHECK(repeats.handle_event(from_stranger(name), now));
      CHECK_FALSE(repeats.handle_event(from_stranger(name), now));
    }
    std::size_t named = 0;
    while (repeats.deadline() != ilm::protocol::never) {
      std::optional<named_event> sum = repeats.poll(repeats.deadline());
      if (sum && sum->peer) ++named;
    }
    CHECK(named == most_repeating_strangers);
  }
}
