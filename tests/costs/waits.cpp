#include "costs/steps.hpp"
#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <system_error>

using namespace test;

namespace {

/// Callers that wait and can be cancelled.
struct callers {
  std::deque<asio::cancellation_signal> signals;
  std::size_t cancelled = 0;

  /// A handler for one more, of any operation.
  auto next() {
    return asio::bind_cancellation_slot(signals.emplace_back().slot(),
                                        [this](std::error_code failed, auto&&...) {
                                          if (failed == asio::error::operation_aborted) ++cancelled;
                                        });
  }
};

/// The steps of a cancellation where `count` callers wait. The last ones that came go first.
double steps_of_a_cancellation(std::size_t count,
                               const std::function<void(peer&, callers&, std::size_t)>& wait,
                               bool opened = true) {
  world w;
  peer a = w.make("a");
  callers all;
  if (!opened) a.store_faults().open_time = 1h;
  ilm::options narrow;
  narrow.uncommitted_messages = 1;
  a.start(narrow);
  w.run_for(1ms);
  if (opened) store_all(w, a, "x", {"message"});
  a.store_faults().commit_time = 1h;
  for (std::size_t i = 0; i < count; ++i) wait(a, all, i);
  w.run_for(1ms);
  REQUIRE(all.cancelled == 0);
  double took = steps_of([&] {
    for (auto s = all.signals.rbegin(); s != all.signals.rend(); ++s) {
      s->emit(asio::cancellation_type::terminal);
    }
    w.run_for(1ms);
  });
  CHECK(all.cancelled >= count - 1);
  return took / static_cast<double>(count);
}

void check_cancellation(const std::function<void(peer&, callers&, std::size_t)>& wait,
                        bool opened = true) {
  double few = steps_of_a_cancellation(10, wait, opened);
  double many = steps_of_a_cancellation(40'000, wait, opened);
  CAPTURE(few, many);
  CHECK(many < 2 * few);
}

/// The steps of a message from a to b where `count` callers wait for something of others.
double steps_of_a_message(std::size_t count) {
  world w;
  peer a = w.make("a"), b = w.make("b");
  callers all;
  a.start();
  b.start();
  store_all(w, a, "x", {"message"});
  for (std::size_t i = 0; i < count; ++i) {
    (*a).wait_delivered("x", 1, all.next());
    (*a).connected("y" + std::to_string(i), all.next());
  }
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.run_for(1s);
  double took = steps_of([&] {
    for (int i = 0; i < 100; ++i) {
      a.send("b", "message");
      w.run_for(20ms);
    }
  });
  REQUIRE(b.app().consumed.size() == 100);
  return took / 100;
}

/// A handler that cannot be cancelled.
struct deaf {
  asio::awaitable<void> operator()(message) const {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await sleep_for(1h);
  }
};

/// The steps of a message from a to b while a is to forget `count` peers whose messages are with
/// handlers.
double steps_of_a_message_beside_forgettings(std::size_t count) {
  world w;
  ilm::messenger<store, network, deaf> a(w.context, store(), w.net.join("a"), deaf());
  for (std::size_t i = 0; i < count; ++i) {
    peer gone = w.make("x" + std::to_string(i));
    gone.start();
    gone.send("a", "message");
    w.run_for(1ms);
  }
  peer b = w.make("b");
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  std::size_t ended = 0;
  for (std::size_t i = 0; i < count; ++i) {
    a.forget("x" + std::to_string(i), [&](std::error_code, ilm::forget_report) { ++ended; });
  }
  w.run_for(1s);
  double took = steps_of([&] {
    for (int i = 0; i < 100; ++i) {
      a.send_to("b", "message", [](std::error_code, std::uint64_t) {});
      w.run_for(20ms);
    }
  });
  REQUIRE(b.app().consumed.size() == 100);
  CHECK(ended == 0);
  w.run_for(1h);
  CHECK(ended == count);
  return took / 100;
}

}  // namespace

TEST_CASE("the end of a wait for a receipt costs the same with 10 others and with 40,000") {
  check_cancellation(
      [](peer& p, callers& all, std::size_t) { (*p).wait_delivered("x", 1, all.next()); });
}

TEST_CASE("the end of a wait for a session costs the same with 10 others and with 40,000") {
  check_cancellation([](peer& p, callers& all, std::size_t i) {
    (*p).connected("y" + std::to_string(i), all.next());
  });
}

TEST_CASE("the end of a send that waits costs the same with 10 others and with 40,000") {
  check_cancellation(
      [](peer& p, callers& all, std::size_t) { (*p).send_to("x", "message", all.next()); });
}

TEST_CASE("a message costs the same beside 10 waits for others and beside 40,000") {
  double few = steps_of_a_message(10);
  double many = steps_of_a_message(40'000);
  CAPTURE(few, many);
  CHECK(many < 1.5 * few);
}

TEST_CASE("a message costs the same while 10 other peers are to be forgotten and while 1,000 are") {
  double few = steps_of_a_message_beside_forgettings(10);
  double many = steps_of_a_message_beside_forgettings(1'000);
  CAPTURE(few, many);
  CHECK(many < 1.5 * few);
}
