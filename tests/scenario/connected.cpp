#include "support/catch.hpp"
#include "support/messenger.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

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
