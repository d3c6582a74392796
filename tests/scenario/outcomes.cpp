#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/delivery_context.hpp>
#include <ilm/outcome.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace test;

// Deliveries that say how they ended.

namespace {

using outcome_context = ilm::delivery_context<std::string>;
using outcome_call = std::function<ilm::outcome(const message&, outcome_context&)>;
using later_outcome_call = std::function<asio::awaitable<ilm::outcome>(message)>;

/// A sender "a" and a receiver "c" around a messenger "b" with this delivery.
template <class Call>
struct outcome_desk {
  explicit outcome_desk(Call does)
      : a(w.make("a")), c(w.make("c")), b(w.context, disk, w.net.join("b"), std::move(does)) {
    a.start();
    c.start();
    b.on_event([this](const event& e) { events.push_back(e); });
  }

  std::uint64_t consumed() { return cursors_of(w, disk, "a").inbox.first - 1; }
  std::vector<event> of(ilm::event_kind kind) const {
    std::vector<event> found;
    for (const event& e : events) {
      if (e.kind == kind) found.push_back(e);
    }
    return found;
  }

  world w;
  peer a, c;
  store disk;
  std::vector<event> events;
  ilm::messenger<store, network, Call> b;
};

// [outcome]
/// Gives up orders for articles that do not exist, with a copy to whoever looks into them.
ilm::outcome take_order(const ilm::message<std::string>& m,
                        ilm::delivery_context<std::string>& context) {
  if (m.text() != "1") return ilm::outcome::consumed();
  context.send_to("c", m.contents);
  return ilm::outcome::skip("no such article");
}
// [outcome]

double outcome_seconds() {
  return std::chrono::duration<double>(ilm::testing::simulated_clock::now().time_since_epoch())
      .count();
}

}  // namespace

TEST_CASE("a message is offered again after the time that its outcome asks for", "[outcomes]") {
  std::vector<std::pair<std::string, double>> calls;
  outcome_desk<outcome_call> p([&](const message& m, outcome_context& context) -> ilm::outcome {
    calls.emplace_back(std::string(m.text()), outcome_seconds());
    context.send_to("c", "copy of " + std::string(m.text()));
    if (m.text() == "1" && context.attempt() < 4) return ilm::outcome::retry(7s, "no stock");
    return ilm::outcome::consumed();
  });
  store_all(p.w, p.a, "b", numbered(3));
  REQUIRE(p.w.until([&] { return p.consumed() == 3; }));
  REQUIRE(calls.size() == 6);
  for (std::size_t i = 1; i <= 4; ++i) CHECK(calls[i].first == "1");
  for (std::size_t i = 2; i <= 4; ++i) {
    double wait = calls[i].second - calls[i - 1].second;
    CHECK(wait >= 7);
    CHECK(wait < 7.1);
  }
  // A try that did not count sent nothing.
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 3; }));
  p.w.run_for(1min);
  CHECK(p.c.app().consumed.size() == 3);
  std::vector<event> told = p.of(ilm::event_kind::delivery_failed);
  REQUIRE(!told.empty());
  CHECK(told[0].error == ilm::error::delivery_postponed);
  CHECK(told[0].text == "no stock");
  CHECK(told[0].inbound.first == 2);
  CHECK(told[0].inbound.last == 2);
}

TEST_CASE("an outcome that asks for no wait, or an endless one, is within bounds", "[outcomes]") {
  int calls = 0;
  outcome_desk<later_outcome_call> p([&](message) -> asio::awaitable<ilm::outcome> {
    ++calls;
    co_return calls < 5 ? ilm::outcome::retry(-1s)
                        : ilm::outcome::retry(std::chrono::nanoseconds::max());
  });
  store_all(p.w, p.a, "b", {"x"});
  p.w.run_for(25ms);
  CHECK(calls >= 2);
  CHECK(calls <= 4);
  p.w.run_for(10min);
  CHECK(calls == 5);
  CHECK(p.consumed() == 0);
}

TEST_CASE("a message that is given up counts as consumed, and an event names it", "[outcomes]") {
  outcome_desk<outcome_call> p(take_order);
  store_all(p.w, p.a, "b", numbered(3));
  REQUIRE(p.w.until([&] { return p.consumed() == 3; }));
  REQUIRE(p.w.until([&] { return !p.c.app().consumed.empty(); }));
  CHECK(p.c.app().texts() == std::vector<std::string>{"1"});
  std::vector<event> told = p.of(ilm::event_kind::message_skipped);
  REQUIRE(told.size() == 1);
  CHECK(told[0].peer == "a");
  CHECK(told[0].inbound.first == 2);
  CHECK(told[0].inbound.last == 2);
  CHECK_FALSE(told[0].error);
  CHECK(told[0].text == "no such article");
  CHECK(describe(told[0]) == "a: message_skipped inbound 2..2: no such article");
  CHECK(p.w.until([&] { return empty(p.a); }));
}

TEST_CASE("the reason of an outcome is shown as one line", "[outcomes]") {
  outcome_desk<outcome_call> p([](const message&, outcome_context&) -> ilm::outcome {
    return ilm::outcome::skip(std::string(1000, 'x') + "\n");
  });
  store_all(p.w, p.a, "b", {"x"});
  REQUIRE(p.w.until([&] { return p.consumed() == 1; }));
  CHECK(p.of(ilm::event_kind::message_skipped).at(0).text.size() <= 512);
}

TEST_CASE("a delivery that waits gives its outcome in the end", "[outcomes]") {
  int calls = 0;
  outcome_desk<later_outcome_call> p([&](message m) -> asio::awaitable<ilm::outcome> {
    ++calls;
    ilm::testing::simulated_timer pause(co_await asio::this_coro::executor, 1s);
    co_await pause.async_wait(asio::use_awaitable);
    co_return m.text() == "0" ? ilm::outcome::skip("not wanted") : ilm::outcome::consumed();
  });
  store_all(p.w, p.a, "b", numbered(2));
  REQUIRE(p.w.until([&] { return p.consumed() == 2; }));
  CHECK(calls == 2);
  CHECK(p.of(ilm::event_kind::message_skipped).size() == 1);
}

TEST_CASE("an outcome of a delivery that fails in the end does not count", "[outcomes]") {
  bool full = true;
  outcome_desk<outcome_call> p([&](const message&, outcome_context& context) -> ilm::outcome {
    // What does not fit makes the delivery fail when it ends.
    if (full) context.send_to("", "nobody");
    return ilm::outcome::skip("gone");
  });
  store_all(p.w, p.a, "b", {"x"});
  p.w.run_for(1s);
  CHECK(p.consumed() == 0);
  CHECK(p.of(ilm::event_kind::message_skipped).empty());
  full = false;
  REQUIRE(p.w.until([&] { return p.consumed() == 1; }));
  CHECK(p.of(ilm::event_kind::message_skipped).size() == 1);
}
