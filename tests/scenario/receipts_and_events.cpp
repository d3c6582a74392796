#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <optional>

using namespace test;
using ilm::event_kind;

namespace {

/// The error with which a wait for a receipt ends, or none if it succeeds.
std::error_code receipt(world& w, peer& a, const std::string& to, std::uint64_t sequence) {
  try {
    w.run(a.wait_delivered(to, sequence));
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

/// Cancels what `ask(slot)` begins after so many handlers, and lets it end.
template <class Ask>
void cancel_after(world& w, std::size_t turns, Ask ask) {
  asio::cancellation_signal signal;
  ask(signal.slot());
  for (std::size_t i = 0; i < turns; ++i) w.context.poll_one();
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(1s);
}

}  // namespace

TEST_CASE("a receipt comes when the application has consumed the message, not before") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.app().time = 1s;
  auto sent = store_all(w, a, "b", numbered(3));
  auto before = clock::now();
  CHECK_FALSE(receipt(w, a, "b", sent[1]->sequence));
  CHECK(clock::now() - before >= 1900ms);
  CHECK(b.app().consumed.size() == 2);
}

TEST_CASE("a receipt can be waited for after a restart, by sequence") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  auto sent = store_all(w, a, "b", numbered(3));
  crash(w, a);
  a.start();
  b.start();
  CHECK_FALSE(receipt(w, a, "b", 3));
  CHECK(b.app().texts() == numbered(3));
  w.run_for(1s);
  crash(w, a);
  a.start();
  CHECK_FALSE(receipt(w, a, "b", 1));
  CHECK_FALSE(receipt(w, a, "b", 3));
}

TEST_CASE("a wait for the receipt of a message that was never sent fails at once") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(3));
  CHECK(receipt(w, a, "b", 0) == ilm::error::unknown_sequence);
  CHECK(receipt(w, a, "b", 4) == ilm::error::unknown_sequence);
  CHECK(receipt(w, a, "nobody", 1) == ilm::error::unknown_sequence);
  w.run(a.shutdown(0s));
  CHECK(receipt(w, a, "b", 1) == ilm::error::shut_down);
}

TEST_CASE("the undelivered messages show, also after a restart, where to go on") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  auto pending = [&] { return w.run(a.undelivered("b")); };
  a.start();
  CHECK(pending() == ilm::sequence_range{});
  store_all(w, a, "b", numbered(3));
  crash(w, a);
  a.start();
  CHECK(pending() == ilm::sequence_range{1, 3});

  b.start();
  b.app().time = 1s;
  CHECK_FALSE(receipt(w, a, "b", 2));
  CHECK(pending() == ilm::sequence_range{3, 3});
  CHECK_FALSE(receipt(w, a, "b", 3));
  CHECK(pending() == ilm::sequence_range{4, 3});
  w.run_for(1s);
  crash(w, a);
  a.start();
  CHECK(pending() == ilm::sequence_range{4, 3});
  CHECK(w.run(a.undelivered("nobody")).last == 0);
  w.run(a.shutdown(0s));
  CHECK_THROWS_AS(pending(), std::system_error);
}

TEST_CASE("a send that is being stored is not undelivered yet") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(1));
  a.store_faults().commit_time = 1s;
  auto slow = a.send("b", "slow");
  w.run_for(500ms);
  CHECK(w.run(a.undelivered("b")).last == 1);
  w.until([&] { return slow->done; });
  CHECK(w.run(a.undelivered("b")).last == 2);
}

TEST_CASE("a wait for a receipt ends with a shutdown") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(1));
  std::error_code ended;
  (*a).wait_delivered("b", 1, [&](std::error_code failed) { ended = failed; });
  w.run_for(10ms);
  w.run(a.shutdown(0s));
  w.run_for(10ms);
  CHECK(ended == ilm::error::shut_down);
}

TEST_CASE("events report sessions in order") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  a.watch();
  w.run_for(1s);
  w.net.disconnect("a", "b");
  w.run_for(1s);
  w.net.connect("a", "b");
  w.run_for(1s);
  w.run(b.shutdown(1s));
  w.run_for(1s);
  std::vector<event_kind> kinds;
  for (const event& e : a.events()) {
    kinds.push_back(e.kind);
    CHECK(e.peer == "b");
  }
  std::vector<event_kind> expected{event_kind::peer_connected, event_kind::peer_disconnected,
                                   event_kind::peer_connected, event_kind::peer_disconnected};
  CHECK(kinds == expected);
}

TEST_CASE(
    "events that nobody reads are kept up to the limit, then the oldest go, and are counted") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  ilm::options few;
  few.event_limit = 4;
  a.start(few);
  b.start();
  for (int i = 0; i < 5; ++i) {
    w.run_for(1s);
    w.net.disconnect("a", "b");
    w.run_for(1s);
    w.net.connect("a", "b");
  }
  w.run_for(1s);
  // Five pairs and a last connect: eleven, of which four are left.
  CHECK(a.statistics().events_lost == 7);
  a.watch();
  w.run_for(10ms);
  REQUIRE(a.events().size() == 5);
  CHECK(a.events()[0].kind == event_kind::events_lost);
  CHECK(a.events()[0].outbound.last == 7);
  CHECK(a.events()[1].kind == event_kind::peer_disconnected);
  CHECK(a.events()[4].kind == event_kind::peer_connected);
}

TEST_CASE("after a shutdown the events that are left can be read, then reading fails") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run_for(1s);
  w.run(a.shutdown(1s));
  std::vector<event_kind> kinds;
  std::error_code ended;
  for (int i = 0; i < 5; ++i) {
    (*a).next_event([&](std::error_code failed, const event& e) {
      if (failed) ended = failed;
      if (!failed) kinds.push_back(e.kind);
    });
    w.run_for(1ms);
  }
  REQUIRE_FALSE(kinds.empty());
  CHECK(kinds[0] == event_kind::peer_connected);
  CHECK(ended == ilm::error::shut_down);
}

TEST_CASE("statistics show the state of a peer") {
  world w;
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  CHECK(a.statistics().peers.empty());
  w.run_for(1s);
  CHECK(a.statistics_of("b").connected);
  CHECK(a.connected_peers() == std::vector<std::string>{"b"});
  bool busy = true;
  b.app().check = [&](const message&) {
    if (busy) throw std::runtime_error("busy");
  };
  store_all(w, a, "b", numbered(10));
  w.run_for(10ms);
  ilm::peer_statistics<std::string> s = a.statistics_of("b");
  CHECK(s.peer == "b");
  CHECK(s.accepted == 10);
  CHECK(s.outbox_depth == 10);
  CHECK(s.in_flight == 10);
  CHECK(s.delivered == 0);
  w.run_for(3s);
  s = a.statistics_of("b");
  CHECK(s.in_flight == 0);
  CHECK(s.outbox_depth == 10);
  CHECK(s.oldest_age >= 3s);
  CHECK(s.oldest_age < 4s);
  CHECK(s.round_trip >= 100ms);
  CHECK(s.round_trip < 130ms);
  CHECK(b.statistics_of("a").inbox_depth == 10);
  busy = false;
  w.run_for(10s);
  s = a.statistics_of("b");
  CHECK(s.outbox_depth == 0);
  CHECK(s.delivered == 10);
  CHECK(s.oldest_age == 0s);
  CHECK(s.frames_sent > 0);
  CHECK(s.frames_received > 0);
  s = b.statistics_of("a");
  CHECK(s.inbox_depth == 0);
  CHECK(s.received == 10);
  CHECK(a.statistics().commits >= 2);
  CHECK(a.statistics().commits_failed == 0);
}

TEST_CASE("the age of the oldest message counts from this messenger's start at the latest") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", numbered(1));
  w.run_for(10s);
  CHECK(a.statistics_of("b").oldest_age >= 10s);
  crash(w, a);
  a.start();
  w.run_for(2s);
  CHECK(a.statistics_of("b").oldest_age >= 2s);
  CHECK(a.statistics_of("b").outbox_depth == 1);
}

TEST_CASE("each wait can be cancelled before the store is open, and ends no other") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.store_faults().open_time = 1h;
  a.start();
  using cancelled = std::optional<std::error_code>;
  asio::cancellation_signal receipt, range, session, event_signal, send, forgetting;
  cancelled receipt_ended, range_ended, session_ended, event_ended, send_ended, forgetting_ended;
  cancelled other, other_range;
  auto keep = [](cancelled& to) {
    return [&to](std::error_code failed, auto&&...) { to = failed; };
  };
  auto bound = [&](asio::cancellation_signal& signal, cancelled& to) {
    return asio::bind_cancellation_slot(signal.slot(), keep(to));
  };
  (*a).wait_delivered("b", 1, bound(receipt, receipt_ended));
  (*a).wait_delivered("b", 1, keep(other));
  (*a).undelivered("b", bound(range, range_ended));
  (*a).undelivered("b", keep(other_range));
  (*a).connected("b", bound(session, session_ended));
  (*a).next_event(bound(event_signal, event_ended));
  (*a).send_to("b", "no", bound(send, send_ended));
  (*a).forget("b", bound(forgetting, forgetting_ended));
  w.run_for(1s);
  std::error_code aborted = asio::error::operation_aborted;
  for (auto [signal, ended] : {std::pair(&receipt, &receipt_ended),
                               {&range, &range_ended},
                               {&session, &session_ended},
                               {&event_signal, &event_ended},
                               {&send, &send_ended},
                               {&forgetting, &forgetting_ended}}) {
    CHECK_FALSE(*ended);
    signal->emit(asio::cancellation_type::terminal);
    w.run_for(0s);
    CHECK(*ended == aborted);
  }
  CHECK_FALSE(other);
  CHECK_FALSE(other_range);
  b.start();
  w.run_for(2h);
  CHECK(other == std::error_code(ilm::error::unknown_sequence));
  CHECK(other_range == std::error_code());
}

TEST_CASE("sends, receipts and ranges asked for before the store is open are answered when it is") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  store_all(w, a, "b", numbered(2));
  crash(w, a);
  a.store_faults().open_time = 1s;
  a.start();
  auto third = a.send("b", "2");
  std::optional<std::error_code> receipt, range;
  ilm::sequence_range left;
  (*a).wait_delivered("b", 1, [&](std::error_code failed) { receipt = failed; });
  (*a).undelivered("b", [&](std::error_code failed, ilm::sequence_range r) {
    range = failed;
    left = r;
  });
  w.run_for(500ms);
  CHECK(a.statistics_of("b").delivered == 0);
  CHECK_FALSE(third->done);
  CHECK_FALSE(receipt);
  CHECK_FALSE(range);
  w.run_for(1s);
  REQUIRE(third->done);
  CHECK_FALSE(third->error);
  CHECK(third->sequence == 3);
  REQUIRE(range == std::error_code());
  CHECK(left.first == 1);
  CHECK(left.last == 2);  // the third is not stored yet
  CHECK(a.statistics_of("b").outbox_depth == 3);
  CHECK_FALSE(receipt);
  b.start();
  REQUIRE(w.until([&] { return receipt.has_value(); }));
  CHECK(receipt == std::error_code());
  REQUIRE(w.until([&] { return b.app().texts() == numbered(3); }));
}

TEST_CASE("a store that cannot be opened ends every wait that cannot be answered") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  std::error_code denied = std::make_error_code(std::errc::permission_denied);
  a.store_faults().open_error = denied;
  a.store_faults().open_time = 1s;
  a.start();
  using ended = std::optional<std::error_code>;
  auto ask = [&a](ended(&to)[4]) {
    (*a).wait_delivered("b", 1, [&](std::error_code e) { to[0] = e; });
    (*a).undelivered("b", [&](std::error_code e, ilm::sequence_range) { to[1] = e; });
    (*a).connected("b", [&](std::error_code e) { to[2] = e; });
    (*a).forget("x", [&](std::error_code e, const auto&) { to[3] = e; });
  };
  ended early[4], late[4], open[4];
  ask(early);
  w.run_for(500ms);
  for (const ended& e : early) CHECK_FALSE(e);
  w.run_for(1s);
  for (const ended& e : early) CHECK(e == denied);
  ask(late);
  w.run_for(0s);
  for (const ended& e : late) CHECK(e == denied);
  a.store_faults().open_error = {};
  w.run_for(10s);
  ask(open);
  b.start();
  w.run_for(1s);
  CHECK(open[0] == std::error_code(ilm::error::unknown_sequence));
  CHECK(open[1] == std::error_code());
  CHECK(open[2] == std::error_code());
  CHECK(open[3] == std::error_code());
}

TEST_CASE("a receipt that comes in the same turn as a cancellation is there for the next wait") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(all_stored(store_all(w, a, "b", numbered(1))));
  asio::cancellation_signal signal;
  std::optional<std::error_code> first, second;
  (*a).wait_delivered(
      "b", 1, asio::bind_cancellation_slot(signal.slot(), [&](std::error_code e) { first = e; }));
  REQUIRE(w.until([&] { return a.statistics_of("b").delivered == 1; }));
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(0s);
  REQUIRE(first);
  (*a).wait_delivered("b", 1, [&](std::error_code e) { second = e; });
  w.run_for(0s);
  CHECK(second == std::error_code());
}

TEST_CASE("a send whose result comes in the same turn as a cancellation has the result") {
  world w;
  peer a = w.make("a");
  a.start();
  w.run_for(10ms);
  asio::cancellation_signal signal;
  std::optional<std::error_code> ended;
  std::uint64_t sequence = 0;
  auto keep = [&](std::error_code failed, std::uint64_t number) {
    ended = failed;
    sequence = number;
  };
  (*a).send_to("b", "kept", asio::bind_cancellation_slot(signal.slot(), keep));
  REQUIRE(w.until([&] { return a.statistics().commits == 1; }));
  CHECK_FALSE(ended);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(0s);
  CHECK(ended == std::error_code());
  CHECK(sequence == 1);
}

TEST_CASE("a session that opens in the same turn as a cancellation is there for the next wait") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  asio::cancellation_signal signal;
  std::optional<std::error_code> first, second;
  (*a).connected(
      "b", asio::bind_cancellation_slot(signal.slot(), [&](std::error_code e) { first = e; }));
  b.start();
  REQUIRE(w.until([&] { return a.statistics_of("b").connected; }));
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(0s);
  REQUIRE(first);
  (*a).connected("b", [&](std::error_code e) { second = e; });
  w.run_for(0s);
  CHECK(second == std::error_code());
}

TEST_CASE("a question for the range that is cancelled in any turn is answered once") {
  std::size_t answered = 0, cancelled = 0;
  for (std::size_t turns = 0; turns < 10; ++turns) {
    world w;
    peer a = w.make("a");
    a.start();
    store_all(w, a, "b", numbered(2));
    std::vector<std::error_code> ends;
    auto keep = [&](std::error_code e, ilm::sequence_range r) {
      ends.push_back(e);
      if (!e) CHECK((r.first == 1 && r.last == 2));
    };
    cancel_after(w, turns, [&](auto slot) {
      (*a).undelivered("b", asio::bind_cancellation_slot(slot, keep));
    });
    REQUIRE(ends.size() == 1);
    ++(ends[0] ? cancelled : answered);
  }
  CHECK(answered > 0);
  // The store is open: there is nothing that the question would wait for.
  CHECK(cancelled == 0);
}

TEST_CASE("to cancel a forgetting that the store has begun has no effect, in any turn") {
  for (std::size_t turns = 0; turns < 10; ++turns) {
    world w;
    peer a = w.make("a");
    a.start();
    store_all(w, a, "b", numbered(2));
    std::vector<std::error_code> ends;
    auto keep = [&](std::error_code e, const ilm::forget_report& dropped) {
      ends.push_back(e);
      CHECK(dropped.undelivered == 2);
    };
    cancel_after(w, turns,
                 [&](auto slot) { (*a).forget("b", asio::bind_cancellation_slot(slot, keep)); });
    CHECK(ends == std::vector<std::error_code>{{}});
    CHECK(a.disk().size(ilm::queue::outbox) == 0);
  }
}

TEST_CASE("statistics and the report of a shutdown count from this messenger's start") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", numbered(5));
  REQUIRE(w.until([&] { return empty(a) && empty(b); }));
  crash(w, a);
  a.start();
  store_all(w, a, "b", {"5", "6"});
  REQUIRE(w.until([&] { return a.statistics_of("b").outbox_depth == 0; }));
  CHECK(a.statistics_of("b").accepted == 2);
  CHECK(a.statistics_of("b").delivered == 2);
  CHECK(w.run(a.shutdown(1s)).delivered == 2);
}

TEST_CASE("statistics count a send that the store refused as none") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", {"0"});
  a.store_faults().commit_error = std::make_error_code(std::errc::no_space_on_device);
  store_all(w, a, "b", {"lost", "lost too"});
  w.run_for(1s);
  CHECK(a.statistics_of("b").accepted == 1);
}

TEST_CASE("the age of a message from an earlier messenger grows although others follow it") {
  world w;
  peer a = w.make("a");
  a.start();
  store_all(w, a, "b", {"0"});
  crash(w, a);
  a.start();
  w.run_for(5s);
  store_all(w, a, "b", {"1"});
  w.run_for(1s);
  CHECK(a.statistics_of("b").oldest_age >= 6s);
}

TEST_CASE("one acknowledgement ends the waits for all receipts that it brings") {
  world w;
  peer a = w.make("a");
  a.start();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  store_all(w, a, "x", numbered(5));
  REQUIRE(w.until([&] { return x.data().size() == 5; }));
  std::size_t told = 0;
  for (std::uint64_t sequence = 1; sequence <= 5; ++sequence) {
    (*a).wait_delivered("x", sequence, [&](std::error_code failed) { told += failed ? 0 : 1; });
  }
  w.run_for(10ms);
  // No batch that ends has the receipts looked at again.
  a.store_faults().commit_time = 1h;
  x.put(x.ack_frame(x.ack_of(4)));
  w.run_for(1ms);
  CHECK(told == 4);
}

TEST_CASE("the age of the oldest message is not that of one that was delivered") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return empty(a); }));
  crash(w, b);
  w.run_for(10s);
  store_all(w, a, "b", {"1"});
  w.run_for(1s);
  CHECK(a.statistics_of("b").oldest_age >= 1s);
  CHECK(a.statistics_of("b").oldest_age < 2s);
}
