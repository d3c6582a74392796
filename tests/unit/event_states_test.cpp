#include "support/catch.hpp"
#include "support/names.hpp"

#include <ilm/error.hpp>
#include <ilm/runtime/event_states.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <system_error>

using ilm::event_kind;
using ilm::event_record;
using ilm::runtime::event_states;
using ilm::runtime::longest_state_interval;
using ilm::runtime::named_event;
using ilm::runtime::state_changes_at_once;
using namespace std::chrono_literals;

namespace {

struct states_fixture {
  named_event of(const std::string& id, event_kind kind, std::error_code why = {}) {
    if (id.empty()) return {nullptr, event_record(kind, why)};
    return {test::met(names, id), event_record(kind, why)};
  }
  /// A state begins or ends.
  bool change(const std::string& id, bool begins, ilm::protocol::timestamp now) {
    begin = now;
    return states.handle_event(
        of(id, begins ? event_kind::store_failed : event_kind::store_recovered), now);
  }
  void tell_polled(ilm::protocol::timestamp now) {
    while (std::optional<named_event> sum = states.poll(now)) note(sum->record, now);
  }
  void note(const event_record& r, ilm::protocol::timestamp now) {
    ++told;
    counted += r.count;
    last_told = r.kind;
    longest_wait = std::max(longest_wait, now - told_at);
    told_at = now;
  }
  /// For how long the state of "bob" changes at this interval.
  void flap(std::chrono::nanoseconds interval, std::chrono::nanoseconds length) {
    for (auto end = begin + length; begin < end;) {
      auto now = begin + interval;
      while (states.deadline() <= now) tell_polled(states.deadline());
      current = current == event_kind::store_failed ? event_kind::store_recovered
                                                    : event_kind::store_failed;
      if (change("bob", current == event_kind::store_failed, now)) {
        note(event_record(current), now);
      }
      ++changes;
    }
  }

  test::name_table names{"self"};
  event_states states;
  ilm::protocol::timestamp begin = 0s;
  ilm::protocol::timestamp told_at = 0s;
  event_kind current = event_kind::store_recovered;
  event_kind last_told = event_kind::store_recovered;
  std::uint64_t changes = 0, told = 0, counted = 0;
  std::chrono::nanoseconds longest_wait{};
};

}  // namespace

TEST_CASE_METHOD(states_fixture, "a change of state is told at once unless it flaps") {
  for (unsigned i = 0; i < state_changes_at_once; ++i) CHECK(change("bob", i % 2 == 0, 1s));
  CHECK_FALSE(change("bob", true, 2s));
  CHECK_FALSE(change("bob", false, 3s));
  CHECK_FALSE(change("bob", true, 4s));
  CHECK_FALSE(states.poll(11s - 1ns));
  CHECK(states.deadline() == 11s);
  std::optional<named_event> sum = states.poll(11s);
  REQUIRE(sum);
  CHECK(sum->peer == test::met(names, "bob"));
  CHECK(sum->record.kind == event_kind::store_failed);
  CHECK(sum->record.count == 3);
  CHECK_FALSE(states.poll(11s));
}

TEST_CASE_METHOD(states_fixture, "peers, sessions and the store flap each for itself") {
  for (unsigned i = 0; i < 10 * state_changes_at_once; ++i) change("bob", i % 2 == 0, 1s);
  CHECK(change("carol", true, 1s));
  CHECK(change("", true, 1s));
  CHECK(states.handle_event(of("bob", event_kind::peer_connected), 1s));
  CHECK(states.handle_event(of("bob", event_kind::peer_disconnected), 1s));
}

TEST_CASE_METHOD(states_fixture, "only states that come and go are summed up") {
  for (int i = 0; i < 100; ++i) {
    CHECK(states.handle_event(of("bob", event_kind::gap), 1s));
    CHECK(states.handle_event(of("bob", event_kind::peer_reset), 1s));
    CHECK(states.handle_event(of("bob", event_kind::peer_incompatible), 1s));
  }
  CHECK(states.deadline() == ilm::protocol::never);
}

TEST_CASE_METHOD(states_fixture, "failures of several things at once are told each") {
  std::error_code corrupt = ilm::error::store_corrupt;
  for (int i = 0; i < 100; ++i) {
    CHECK(states.handle_event(of("", event_kind::store_failed, corrupt), 1s));
  }
}

TEST_CASE_METHOD(states_fixture, "a store whose error changes each time flaps as well") {
  int at_once = 0;
  for (int i = 0; i < 100; ++i) {
    std::error_code why = std::make_error_code(i % 2 ? std::errc::io_error : std::errc::timed_out);
    at_once += states.handle_event(of("", event_kind::store_failed, why), 1s) ? 1 : 0;
  }
  CHECK(at_once == int{state_changes_at_once});
}

TEST_CASE_METHOD(states_fixture, "a day of a state that flaps is some dozens of events") {
  for (std::chrono::nanoseconds interval :
       {1ms * 50, 1ms * 1000, 1ms * 11'000, 1ms * 300'000, 1ms * 1'500'000, 1ms * 1'900'000}) {
    states_fixture day;
    bool fast = interval < 1s;
    day.flap(interval, fast ? 1h * 2 : 1h * 24);
    CHECK(day.told <= 75);
    CHECK(day.longest_wait <= longest_state_interval + interval);
    // The last one tells how it stands.
    day.tell_polled(day.begin + longest_state_interval);
    CHECK(day.last_told == day.current);
    CHECK(day.counted == day.changes);
  }
}

TEST_CASE_METHOD(states_fixture, "a state that flapped for a short time is told soon") {
  flap(1s, 60s);
  tell_polled(begin + 60s);
  CHECK(last_told == current);
  CHECK(counted == changes);
}

TEST_CASE_METHOD(states_fixture, "a state that was quiet for long is as a new one") {
  flap(1s, 2h);
  while (states.deadline() <= begin + 24h) states.poll(states.deadline());
  CHECK(states.deadline() == ilm::protocol::never);
  begin += 24h;
  for (unsigned i = 0; i < state_changes_at_once; ++i) CHECK(change("bob", i % 2 == 0, begin));
}

TEST_CASE_METHOD(states_fixture, "how a flapping state stands is told at the end") {
  flap(1s, 60s);
  std::optional<named_event> last = states.poll_last();
  while (std::optional<named_event> more = states.poll_last()) last = more;
  REQUIRE(last);
  CHECK(last->record.kind == current);
}

TEST_CASE_METHOD(states_fixture, "strangers take no more than their places, and none of a peer's") {
  std::size_t count = 10 * ilm::runtime::most_states_of_strangers;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = "x" + std::to_string(i);
    of(name, event_kind::peer_connected);
    names.find(name)->in_store = false;
    for (auto kind : {event_kind::peer_connected, event_kind::peer_disconnected}) {
      CHECK(states.handle_event({names.find(name)->shared_from_this(), event_record(kind)}, 0s));
    }
  }
  // How long each is kept shows how many are: nothing is due after half an hour for the others.
  std::size_t kept = 0;
  for (auto at = states.deadline(); at != ilm::protocol::never; at = states.deadline()) {
    CHECK_FALSE(states.poll(at));
    ++kept;
  }
  CHECK(kept <= 2 * ilm::runtime::most_states_of_strangers);
  flap(1s, 60s);
  CHECK(told < changes);
}
