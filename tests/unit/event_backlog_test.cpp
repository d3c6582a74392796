#include "support/catch.hpp"
#include "support/names.hpp"

#include <ilm/runtime/event_backlog.hpp>

#include <cstdint>
#include <string>
#include <vector>

using ilm::event_count;
using ilm::event_kind;
using ilm::event_record;
using ilm::runtime::event_backlog;
using ilm::runtime::named_event;

namespace {

struct fixture {
  named_event from(const std::string& id, event_kind kind) {
    return {test::met(names, id), event_record(kind)};
  }
  std::vector<std::string> all() {
    std::vector<std::string> texts;
    while (!backlog.empty()) {
      named_event e = backlog.pop();
      texts.push_back((e.peer ? e.peer->readable() + " " : "") + describe(e.record));
    }
    return texts;
  }

  test::name_table names{"self"};
  event_backlog backlog{4};
};

using texts = std::vector<std::string>;

}  // namespace

TEST_CASE_METHOD(fixture, "events of one rank come in order") {
  backlog.push(from("bob", event_kind::peer_connected));
  backlog.push(from("carol", event_kind::peer_connected));
  backlog.push(from("bob", event_kind::peer_disconnected));
  CHECK(all() == texts{"bob peer_connected", "carol peer_connected", "bob peer_disconnected"});
}

TEST_CASE_METHOD(fixture, "events that matter more come first") {
  backlog.push(from("bob", event_kind::network_problem));
  backlog.push(from("bob", event_kind::peer_connected));
  backlog.push(from("bob", event_kind::rolled_back));
  CHECK(all() == texts{"bob rolled_back", "bob peer_connected", "bob network_problem"});
}

TEST_CASE_METHOD(fixture, "an event of little importance makes room for others") {
  CHECK(backlog.push(from("bob", event_kind::network_problem)) == 0);
  for (int i = 0; i < 3; ++i) backlog.push(from("carol", event_kind::peer_connected));
  CHECK(backlog.push(from("dave", event_kind::peer_connected)) == 1);
  CHECK(backlog.push(from("bob", event_kind::network_problem)) == 1);
  CHECK(all() == texts{"carol peer_connected", "carol peer_connected", "carol peer_connected",
                       "dave peer_connected"});
  CHECK(backlog.take_dropped() ==
        std::vector<event_count>{event_count{event_kind::network_problem, 2}});
  CHECK(backlog.take_dropped().empty());
}

TEST_CASE_METHOD(fixture, "a sum that goes counts as all the events in it") {
  named_event sum = from("bob", event_kind::network_problem);
  sum.record.count = 5;
  backlog.push(std::move(sum));
  for (int i = 0; i < 3; ++i) backlog.push(from("carol", event_kind::peer_connected));
  CHECK(backlog.push(from("carol", event_kind::peer_connected)) == 5);
  CHECK(backlog.take_dropped() ==
        std::vector<event_count>{event_count{event_kind::network_problem, 5}});
}

TEST_CASE_METHOD(fixture, "a peer with many events drives out no other's, but its own oldest") {
  backlog.push(from("bob", event_kind::peer_connected));
  backlog.push(from("carol", event_kind::peer_disconnected));
  for (int i = 0; i < 1000; ++i) backlog.push(from("carol", event_kind::peer_connected));
  CHECK(all() == texts{"bob peer_connected", "carol peer_connected", "carol peer_connected",
                       "carol peer_connected"});
}

TEST_CASE_METHOD(fixture, "among peers with equally many events that of the first goes") {
  for (int i = 0; i < 6; ++i) backlog.push(from(std::to_string(i), event_kind::peer_connected));
  CHECK(all() ==
        texts{"2 peer_connected", "3 peer_connected", "4 peer_connected", "5 peer_connected"});
}

TEST_CASE_METHOD(fixture, "what tells of lost messages is never dropped, but becomes one") {
  for (std::uint64_t i = 1; i <= 1200; ++i) {
    named_event e = from("carol", event_kind::peer_reset);
    e.record.inbound = {i, i};
    CHECK(backlog.push(std::move(e)) == 0);
    if (i == 600) CHECK(backlog.push(from("bob", event_kind::peer_reset)) == 0);
  }
  std::uint64_t resets = 0;
  std::uint64_t last = 0;
  bool bob = false;
  std::size_t events = 0;
  while (!backlog.empty()) {
    named_event e = backlog.pop();
    ++events;
    if (e.peer->readable() == "bob") {
      bob = true;
    } else {
      resets += e.record.count;
      last = e.record.inbound.last;
    }
  }
  CHECK(bob);
  CHECK(resets == 1200);
  CHECK(last == 1200);
  CHECK(events <= ilm::runtime::vital_events_per_peer + 1);
}

TEST_CASE_METHOD(fixture, "of events that became one the newest says how things stand") {
  for (int i = 0; i < 100; ++i) {
    backlog.push({nullptr, event_record(event_kind::store_failed)});
    backlog.push({nullptr, event_record(event_kind::store_recovered)});
  }
  backlog.push({nullptr, event_record(event_kind::store_failed)});
  CHECK(all().back().starts_with("store_failed"));
}

TEST_CASE_METHOD(fixture, "an event that is put back is the next of its rank") {
  backlog.push(from("bob", event_kind::peer_connected));
  backlog.push(from("carol", event_kind::peer_connected));
  named_event e = backlog.pop();
  backlog.put_back(std::move(e));
  CHECK(all() == texts{"bob peer_connected", "carol peer_connected"});
}

TEST_CASE("every kind of event has a name") {
  for (std::size_t kind = 0; kind < ilm::event_kinds; ++kind) {
    CHECK(name_of(static_cast<event_kind>(kind)) != "unknown");
  }
  CHECK(name_of(static_cast<event_kind>(ilm::event_kinds)) == "unknown");
}
