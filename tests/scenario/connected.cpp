#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/raw_peer.hpp"
#include "support/steps.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <array>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

using namespace test;

namespace {

using result = std::optional<std::error_code>;

auto keep_in(result& ended) {
  return [&ended](std::error_code failed) { ended = failed; };
}

}  // namespace

TEST_CASE("a wait for a session completes when it opens, and at once while it is open") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  result first, second, other;
  (*a).connected("b", keep_in(first));
  (*a).connected("c", keep_in(other));
  w.run_for(1s);
  CHECK_FALSE(first);
  CHECK(a.statistics().peers.empty());

  b.start();
  REQUIRE(w.until([&] { return first.has_value(); }));
  CHECK_FALSE(*first);
  CHECK(a.connected_peers() == std::vector<std::string>{"b"});
  (*a).connected("b", keep_in(second));
  CHECK_FALSE(second);
  w.run_for(0s);
  REQUIRE(second);
  CHECK_FALSE(*second);
  CHECK_FALSE(other);
}

TEST_CASE("a wait for a session that has ended completes with the next one") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  w.run((*a).connected("b"));
  w.net.disconnect("a", "b");
  w.run_for(1s);
  result again;
  (*a).connected("b", keep_in(again));
  w.run_for(1s);
  CHECK_FALSE(again);
  w.net.connect("a", "b");
  CHECK(w.until([&] { return again.has_value(); }));
}

TEST_CASE("a wait for a session may begin before the store is open") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.start();
  a.start();
  result ended;
  (*a).connected("b", keep_in(ended));
  REQUIRE(w.until([&] { return ended.has_value(); }));
  CHECK_FALSE(*ended);
}

TEST_CASE("a wait for a session can be cancelled, which ends no other wait") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  asio::cancellation_signal signal;
  result cancelled, other;
  (*a).connected("b", asio::bind_cancellation_slot(signal.slot(), keep_in(cancelled)));
  (*a).connected("b", keep_in(other));
  w.run_for(1s);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(0s);
  CHECK(cancelled == result(asio::error::operation_aborted));
  CHECK_FALSE(other);
  b.start();
  REQUIRE(w.until([&] { return other.has_value(); }));
  CHECK_FALSE(*other);
}

TEST_CASE("a shutdown ends the waits for a session, and refuses new ones") {
  world w;
  peer a = w.make("a");
  a.start();
  result waiting, late;
  (*a).connected("b", keep_in(waiting));
  w.run(a.shutdown(1s));
  w.run_for(0s);
  CHECK(waiting == result(ilm::error::shut_down));
  (*a).connected("b", keep_in(late));
  w.run_for(0s);
  CHECK(late == result(ilm::error::shut_down));
}

TEST_CASE("a wait for a session with an id that no peer has fails at once") {
  world w;
  peer a = w.make("a");
  a.store_faults().open_time = 1h;
  a.start();
  result own, empty, long_one, last;
  (*a).connected("a", keep_in(own));
  (*a).connected("", keep_in(empty));
  (*a).connected(std::string(256, 'x'), keep_in(long_one));
  (*a).connected(std::string(255, 'x'), keep_in(last));
  w.run_for(0s);
  CHECK(own == result(ilm::error::send_to_self));
  CHECK(empty == result(ilm::error::invalid_peer_id));
  CHECK(long_one == result(ilm::error::invalid_peer_id));
  CHECK_FALSE(last);
}

TEST_CASE("a wait for a session that is verified again completes when it is, without an event") {
  world w;
  peer a = w.make("a");
  a.start();
  a.watch();
  raw_peer x(w, "x", "a");
  REQUIRE(x.open());
  auto stored = store_all(w, a, "x", numbered(3));
  REQUIRE(w.until([&] { return x.data().size() == 3; }));
  // Two are acknowledged and gone from memory, but none is delivered. What the next hello says is
  // older: it names a message that has to be looked up.
  x.put(x.ack_frame(x.ack_of(2, 0)));
  w.run_for(100ms);
  REQUIRE(a.count(ilm::event_kind::peer_connected) == 1);

  ilm::protocol::claim told = x.ack_of(1, 0).claim;
  x.meet();
  x.me.claim = told;
  a.store_faults().read_time = 2s;
  REQUIRE(x.open());
  w.run_for(100ms);
  CHECK_FALSE(a.statistics_of("x").connected);
  result ended;
  (*a).connected("x", keep_in(ended));
  x.put(x.ping_frame());
  w.run_for(1s);
  CHECK_FALSE(ended);
  w.run_for(2s);
  REQUIRE(ended);
  CHECK_FALSE(*ended);
  CHECK(a.statistics_of("x").connected);
  CHECK(a.count(ilm::event_kind::peer_connected) == 1);
  CHECK(a.count(ilm::event_kind::peer_disconnected) == 0);
}

TEST_CASE("cancelling a later wait for a session leaves the earlier one") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  asio::cancellation_signal signal;
  result first, second;
  (*a).connected("b", keep_in(first));
  (*a).connected("b", asio::bind_cancellation_slot(signal.slot(), keep_in(second)));
  w.run_for(1s);
  signal.emit(asio::cancellation_type::terminal);
  w.run_for(0s);
  CHECK(second == result(asio::error::operation_aborted));
  CHECK_FALSE(first);
}

TEST_CASE("a session that opens ends all waits for it at once") {
  world w;
  // Nothing follows in the same moment.
  ilm::faults slow;
  slow.delay = 50ms;
  w.net.set_faults(slow);
  peer a = w.make("a"), b = w.make("b");
  a.start();
  std::array<result, 20> waits;
  for (result& r : waits) (*a).connected("b", keep_in(r));
  b.start();
  REQUIRE(w.until([&] { return waits[0].has_value(); }));
  w.run_for(0s);
  for (const result& r : waits) CHECK(r == result(std::error_code()));
}
