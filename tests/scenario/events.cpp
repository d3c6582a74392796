#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/poor_executor.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

#include <ilm/runtime/event_queue.hpp>

#include <asio/bind_executor.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;
using ilm::event_kind;

// Events that repeat, events that nobody reads, and a function that gets each.

namespace {

using plain_messenger = ilm::messenger<store, network, handler>;

/// Not started yet.
std::unique_ptr<plain_messenger> make_plain(world& w, const std::string& name,
                                            ilm::options o = {}) {
  return std::make_unique<plain_messenger>(w.context, store(), w.net.join(name),
                                           handler(std::make_shared<application>()), std::move(o),
                                           ilm::start_later);
}

std::size_t lines_of(peer& p, event_kind kind) {
  auto is_of_kind = [kind](const event& e) { return e.kind == kind; };
  return static_cast<std::size_t>(std::count_if(p.events().begin(), p.events().end(), is_of_kind));
}

void flood(world& w, raw_peer& x, int frames) {
  for (int i = 0; i < frames; ++i) {
    x.put(bytes_vector(20, std::byte{0xff}));
    if (i % 100 == 0) w.run_for(1ms);
  }
  w.run_for(1ms);
}

}  // namespace

TEST_CASE("a peer's flood of bad frames is told once, then summed up, and hides nobody's event") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options few;
  few.event_limit = 4;
  a.start(few);
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  flood(w, x, 1000);
  b.start();
  w.run_for(100ms);
  flood(w, x, 1000);
  a.watch();
  w.run_for(20s);
  CHECK(a.statistics().events_lost == 0);
  CHECK(lines_of(a, event_kind::events_lost) == 0);
  CHECK(lines_of(a, event_kind::peer_connected) == 2);
  CHECK(lines_of(a, event_kind::frame_rejected) == 2);
  CHECK(a.count(event_kind::frame_rejected) == 2000);
}

TEST_CASE("a day with a failing handler is some dozens of events", "[volume]") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.app().check = [](const message&) { throw std::runtime_error("poison"); };
  a.start();
  b.start();
  b.watch();
  store_all(w, a, "b", {"poison"});
  w.run_for(24h);
  CHECK(b.events().size() < 50);
  CHECK(lines_of(b, event_kind::delivery_failed) > 24);
  CHECK(b.count(event_kind::delivery_failed) > 16'000);
}

TEST_CASE("a day of sessions that begin and end in a loop is some dozens of events") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  std::size_t changes = 0;
  auto change = [&](bool connects, std::chrono::nanoseconds wait) {
    connects ? w.net.connect("a", "b") : w.net.disconnect("a", "b");
    w.run_for(wait);
    ++changes;
  };
  w.run_for(1s);
  for (int minute = 0; minute < 12 * 60; ++minute) {
    change(false, 30s);
    change(true, 30s);
  }
  for (int i = 0; i < 1000; ++i) {
    change(false, 20ms);
    change(true, 20ms);
  }
  CHECK(a.events().size() < 50);
  change(false, 31min);
  CHECK(a.events().back().kind == event_kind::peer_disconnected);
  CHECK(a.count(event_kind::peer_connected) + a.count(event_kind::peer_disconnected) ==
        changes + 1);
  change(true, 31min);
  CHECK(a.events().back().kind == event_kind::peer_connected);
}

TEST_CASE("how a flapping session stands is told at a shutdown") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  w.run_for(1s);
  for (int i = 0; i < 50; ++i) {
    w.net.disconnect("a", "b");
    w.run_for(20ms);
    w.net.connect("a", "b");
    w.run_for(20ms);
  }
  w.net.disconnect("a", "b");
  w.run_for(20ms);
  w.run(a.shutdown(1s));
  w.run_for(1ms);
  CHECK(a.events().back().kind == event_kind::peer_disconnected);
  CHECK(a.count(event_kind::peer_connected) + a.count(event_kind::peer_disconnected) == 102);
}

TEST_CASE("the sums of what repeated are told at a shutdown") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  flood(w, x, 300);
  CHECK(a.count(event_kind::frame_rejected) == 1);
  w.run(a.shutdown(1s));
  w.run_for(1ms);
  CHECK(a.count(event_kind::frame_rejected) == 300);
}

TEST_CASE("the report of lost events counts them by kind, and comes once in a while") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options few;
  few.event_limit = 4;
  a.start(few);
  b.start();
  auto reconnect = [&](int times) {
    for (int i = 0; i < times; ++i) {
      w.run_for(1s);
      w.net.disconnect("a", "b");
      w.run_for(1s);
      w.net.connect("a", "b");
    }
    w.run_for(1s);
  };
  auto next = [&] { return w.run((*a).next_event(asio::use_awaitable)); };
  reconnect(5);
  event lost = next();
  REQUIRE(lost.kind == event_kind::events_lost);
  CHECK(lost.outbound.last == 7);
  CHECK(lost.lost == std::vector<ilm::event_count>{{event_kind::peer_connected, 4},
                                                   {event_kind::peer_disconnected, 3}});
  CHECK(describe(lost) == "events_lost 4 peer_connected, 3 peer_disconnected");
  CHECK(next().kind == event_kind::peer_disconnected);
  reconnect(2);
  for (int i = 0; i < 4; ++i) CHECK(next().kind != event_kind::events_lost);
  CHECK(next().kind == event_kind::events_lost);
}

TEST_CASE("a function gets each event as it happens, from the first on") {
  world w;
  peer b = w.make("b");
  auto a = make_plain(w, "a");
  std::vector<event> seen;
  a->on_event([&seen](const event& e) { seen.push_back(e); });
  a->start();
  b.start();
  w.run_for(1s);
  REQUIRE(seen.size() == 1);
  CHECK(seen[0].kind == event_kind::peer_connected);
  CHECK(seen[0].peer == "b");
  b.crash();
  w.run_for(1s);
  REQUIRE(seen.size() == 2);
  CHECK(seen[1].kind == event_kind::peer_disconnected);
  a->on_event(nullptr);
  b.restart();
  w.run_for(1s);
  CHECK(seen.size() == 2);
}

TEST_CASE("events are kept for readers again once the function is removed") {
  world w;
  peer b = w.make("b");
  auto a = make_plain(w, "a");
  a->on_event([](const event&) {});
  a->on_event(nullptr);
  a->start();
  b.start();
  w.run_for(1s);
  std::vector<event> read;
  a->next_event([&](std::error_code, event e) { read.push_back(std::move(e)); });
  w.run_for(1s);
  REQUIRE(read.size() == 1);
  CHECK(read[0].kind == event_kind::peer_connected);
}

TEST_CASE("what events are summed up to is told in its time, though nothing else happens") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  store_all(w, a, "b", {"x"});
  const int rounds = 20;
  for (int i = 0; i < rounds; ++i) {
    a.store_faults().commit_error = std::make_error_code(std::errc::no_space_on_device);
    store_all(w, a, "b", {"x"});
    a.store_faults().commit_error = {};
    store_all(w, a, "b", {"x"});
  }
  auto told = [&] {
    std::uint64_t sum = 0;
    for (const event& e : a.events()) {
      bool is_of_store =
          e.kind == event_kind::store_failed || e.kind == event_kind::store_recovered;
      if (is_of_store) sum += e.count;
    }
    return sum;
  };
  REQUIRE(told() < 2 * rounds);
  w.run_for(2h);
  CHECK(told() == 2 * rounds);
}

TEST_CASE("events that a function gets are kept for readers only once there was one") {
  world w;
  peer b = w.make("b");
  ilm::options few;
  few.event_limit = 1;
  auto a = make_plain(w, "a", few);
  std::size_t seen = 0;
  a->on_event([&seen](const event&) { ++seen; });
  a->start();
  for (int i = 0; i < 5; ++i) {
    b.start();
    w.run_for(1s);
    b.crash();
    w.run_for(1s);
  }
  CHECK(seen == 10);
  CHECK(a->statistics().events_lost == 0);
  std::vector<event> read;
  a->next_event([&](std::error_code, event e) { read.push_back(std::move(e)); });
  w.run_for(1s);
  CHECK(read.empty());
  b.start();
  w.run_for(1s);
  REQUIRE(read.size() == 1);
  CHECK(read[0].kind == event_kind::peer_connected);
  CHECK(seen == 11);
}

TEST_CASE("a function that throws, or ends the messenger, does no harm") {
  world w;
  peer b = w.make("b");
  auto a = make_plain(w, "a");
  auto held = std::make_shared<int>();
  int seen = 0;
  a->on_event([&, held](const event&) {
    if (++seen == 1) throw std::runtime_error("no room in the log");
    a.reset();
  });
  a->start();
  b.start();
  w.run_for(1s);
  CHECK(seen == 1);
  auto s = b.send("a", "1");
  w.run_for(1s);
  CHECK(a->statistics().peers.at(0).received == 1);
  b.crash();
  w.run_for(1s);
  CHECK(seen == 2);
  CHECK(a == nullptr);
  CHECK(held.use_count() == 1);
}

TEST_CASE("an event at which a function throws is there for a reader") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  (*a).on_event([](const event&) { throw std::runtime_error("no room in the log"); });
  a.watch();
  w.run_for(1s);
  b.start();
  w.run_for(1s);
  CHECK(a.count(event_kind::peer_connected) == 1);
}

namespace {

/// A queue of events, and its readers.
struct queue_of_events {
  ilm::runtime::event_queue queue{10};
  /// Of each reader that is done, in order: its id, the event's kind or the error.
  std::vector<std::pair<std::uint64_t, event_kind>> got;
  std::vector<std::pair<std::uint64_t, std::error_code>> failed;

  void read(std::uint64_t id) {
    auto reader = ilm::runtime::event_queue::handler::pass_to(
        [this, id](std::error_code e, const ilm::runtime::named_event& n) {
          if (e) {
            failed.emplace_back(id, e);
          } else {
            got.emplace_back(id, n.record.kind);
          }
        });
    queue.read(id, reader, 0s);
  }
  static ilm::runtime::named_event of(event_kind kind) {
    return {nullptr, ilm::event_record(kind)};
  }
};

}  // namespace

TEST_CASE("an event that nobody has goes to the reader that waits longest, or to the next one") {
  queue_of_events q;
  q.read(1);
  q.read(2);
  q.queue.put_back(queue_of_events::of(event_kind::gap));
  REQUIRE(q.got.size() == 1);
  CHECK(q.got[0] == std::pair(std::uint64_t{1}, event_kind::gap));
  CHECK_FALSE(q.queue.cancel(1, ilm::error::shut_down));
  q.queue.put(queue_of_events::of(event_kind::store_failed), 0s);
  REQUIRE(q.got.size() == 2);
  CHECK(q.got[1] == std::pair(std::uint64_t{2}, event_kind::store_failed));
  q.queue.put(queue_of_events::of(event_kind::store_recovered), 0s);
  q.queue.put_back(queue_of_events::of(event_kind::gap));
  q.read(3);
  REQUIRE(q.got.size() == 3);
  CHECK(q.got[2].second == event_kind::gap);
}

TEST_CASE("events that end twice end for the first reason, for each reader") {
  queue_of_events q;
  const std::error_code first = ilm::error::shut_down, later = ilm::error::network_ended;
  q.read(1);
  q.queue.close(first);
  q.queue.close(later);
  q.read(2);
  REQUIRE(q.failed.size() == 2);
  CHECK(q.failed[0].second == first);
  CHECK(q.failed[1].second == first);
}

TEST_CASE("a reader of events whose handler finds no memory is told that the messenger failed") {
  world w;
  auto m = make_plain(w, "a");
  auto refusals = std::make_shared<int>(0);
  std::vector<event_kind> told;
  m->next_event(
      asio::bind_executor(test::poor_executor(w.context.get_executor(), refusals),
                          [&](std::error_code, const event& e) { told.push_back(e.kind); }));
  w.run_for(1s);
  *refusals = 1;
  m->start();
  peer b = w.make("b");
  b.start();
  w.run_for(1s);
  CHECK(*refusals == 0);
  CHECK(told == std::vector{event_kind::messenger_failed});
}
