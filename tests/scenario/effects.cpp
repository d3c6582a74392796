#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/delivery_context.hpp>
#include <ilm/effects.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;

// The changes that a delivery adds to the store's transaction are stored with the consumption, or
// not at all.

namespace {

using effect_context = ilm::delivery_context<std::string>;
using lent = ilm::memory_transaction;
using effect_call = std::function<asio::awaitable<void>(message, effect_context)>;
using effect_messenger = ilm::messenger<backend, network, effect_call>;

void write_down(lent& t, const std::string& text) {
  std::string count = t.get("count").value_or("0");
  t.put("entry " + std::string(9 - count.size(), '0') + count, text);
  t.put("count", std::to_string(std::stoul(count) + 1));
}

/// The entries, without the count.
std::vector<std::string> effect_entries(const store& disk) {
  std::vector<std::string> all;
  for (const auto& [key, value] : disk.values()) {
    if (key != "count") all.push_back(value);
  }
  return all;
}

asio::awaitable<void> write_each_down(message m, effect_context context) {
  context.apply<lent>([text = std::string(m.text())](auto& t) { write_down(t, text); });
  co_return;
}

/// Senders "a" and "d", and a messenger "b" with effects that passes messages on to "c".
struct effect_desk {
  explicit effect_desk(effect_call does = write_each_down)
      : a(w.make("a")), c(w.make("c")), d(w.make("d")), handler(std::move(does)) {
    for (peer* p : {&a, &c, &d}) p->start();
    start();
  }

  void start() { b.emplace(w.context, backend(disk, faults), w.net.join("b"), handler); }
  void restart() {
    b.reset();
    w.run_for(0s);
    start();
  }
  event expect(ilm::event_kind kind) {
    auto next = [](effect_messenger& m) -> asio::awaitable<event> {
      co_return co_await m.next_event();
    };
    for (;;) {
      event e = w.run(next(*b));
      if (e.kind == kind) return e;
    }
  }
  std::uint64_t consumed_from(const std::string& who) {
    return cursors_of(w, disk, who).inbox.first - 1;
  }

  world w;
  peer a, c, d;
  store disk;
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  effect_call handler;
  std::optional<effect_messenger> b;
};

std::vector<std::string> in_text_order(std::vector<std::string> all) {
  std::sort(all.begin(), all.end());
  return all;
}

}  // namespace

TEST_CASE("an effect is stored with the consumption of its message, at each commit", "[effects]") {
  effect_desk p;
  p.faults->commit_time = 1ms;
  std::vector<store> copies;
  std::uint64_t commits = 0;
  p.faults->watch = [&](auto operation, bool after) {
    if (operation != ilm::testing::store_faults::operation::commit) return;
    if (after) copies.push_back(p.disk.copy());
    // Each third commit fails.
    bool fails = !after && ++commits % 3 == 0;
    p.faults->commit_error =
        fails ? std::make_error_code(std::errc::no_space_on_device) : std::error_code();
  };
  store_all(p.w, p.a, "b", numbered(500));
  REQUIRE(p.w.until([&] { return p.consumed_from("a") == 500; }, 1h));
  CHECK(effect_entries(p.disk) == numbered(500));
  REQUIRE(copies.size() > 3);
  for (const store& copy : copies) {
    CHECK(effect_entries(copy).size() == cursors_of(p.w, copy, "a").inbox.first - 1);
  }
}

TEST_CASE("effects happen once where the messenger is killed at any commit", "[effects]") {
  for (unsigned at = 1; at < 40; at += 3) {
    effect_desk p;
    std::uint64_t commits = 0;
    bool killed = false;
    p.faults->watch = [&](auto operation, bool) {
      if (operation != ilm::testing::store_faults::operation::commit) return;
      if (++commits == at && !killed) {
        killed = true;
        asio::post(p.w.context, [&] { p.restart(); });
      }
    };
    auto paced = [](peer& from) -> asio::awaitable<void> {
      for (const std::string& text : numbered(60)) {
        co_await from.send_to("b", text);
        ilm::testing::simulated_timer pause(co_await asio::this_coro::executor, 3ms);
        co_await pause.async_wait(asio::use_awaitable);
      }
    };
    p.w.run(paced(p.a));
    REQUIRE(p.w.until([&] { return p.consumed_from("a") == 60; }));
    INFO("killed at commit " << at);
    CHECK(killed);
    CHECK(effect_entries(p.disk) == numbered(60));
  }
}

TEST_CASE("an effect that fails leaves its message, and no other peer's", "[effects]") {
  auto fails = std::make_shared<bool>(true);
  auto calls = std::make_shared<std::vector<std::string>>();
  effect_desk p([=](message m, effect_context context) -> asio::awaitable<void> {
    std::string text = m.from + std::string(m.text());
    calls->push_back(text);
    context.apply<lent>([=](auto& t) {
      write_down(t, text);
      if (*fails && text == "a3") throw std::runtime_error("no such account");
    });
    context.send_to("c", text);
    co_return;
  });
  p.faults->commit_time = 5ms;
  send_all(p.a, "b", numbered(6));
  send_all(p.d, "b", numbered(6));
  event e = p.expect(ilm::event_kind::delivery_failed);
  CHECK(e.peer == "a");
  CHECK(e.error == ilm::error::exception_without_code);
  CHECK(e.text == "no such account");
  CHECK(e.inbound.first == 4);
  CHECK(e.inbound.last == 4);
  REQUIRE(p.w.until([&] { return p.consumed_from("d") == 6; }));
  p.w.run_for(5s);
  CHECK(p.consumed_from("a") == 3);
  CHECK(in_text_order(effect_entries(p.disk)) ==
        std::vector<std::string>{"a0", "a1", "a2", "d0", "d1", "d2", "d3", "d4", "d5"});
  // Its sends, and those of the messages behind it, have gone as well.
  CHECK(p.c.app().consumed.size() == 9);
  CHECK(p.b->statistics().peers.size() >= 3);
  for (const auto& s : p.b->statistics().peers) {
    if (s.peer == "a") CHECK(s.received == 3);
    if (s.peer == "d") CHECK(s.received == 6);
  }
  *fails = false;
  REQUIRE(p.w.until([&] { return p.consumed_from("a") == 6; }));
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 12; }));
  std::vector<std::string> of_a;
  for (const std::string& text : effect_entries(p.disk)) {
    if (text[0] == 'a') of_a.push_back(text);
  }
  CHECK(of_a == std::vector<std::string>{"a0", "a1", "a2", "a3", "a4", "a5"});
  p.w.run_for(5s);
  CHECK(p.c.app().consumed.size() == 12);
  CHECK(empty(p.a));
}

TEST_CASE("the wait before an effect that fails is tried again grows, and its attempts are counted",
          "[effects]") {
  auto tries = std::make_shared<std::vector<std::pair<unsigned, double>>>();
  effect_desk p([tries](message, effect_context context) -> asio::awaitable<void> {
    unsigned attempt = context.attempt();
    context.apply<lent>([attempt, tries](auto&) {
      double now =
          std::chrono::duration<double>(ilm::testing::simulated_clock::now().time_since_epoch())
              .count();
      tries->emplace_back(attempt, now);
      throw std::runtime_error("never");
    });
    co_return;
  });
  send_all(p.a, "b", {"one", "two"});
  REQUIRE(p.w.until([&] { return tries->size() >= 8; }, 1h));
  for (std::size_t i = 0; i < tries->size(); ++i) CHECK((*tries)[i].first == i + 1);
  double first = (*tries)[1].second - (*tries)[0].second;
  double last = (*tries)[7].second - (*tries)[6].second;
  CHECK(last > 8 * first);
  CHECK(p.consumed_from("a") == 0);
}

TEST_CASE("effects that fail for many peers at once cost few commits", "[effects]") {
  world w;
  std::vector<std::unique_ptr<peer>> senders;
  for (int i = 0; i < 50; ++i)
    senders.push_back(std::make_unique<peer>(w.make("s" + std::to_string(i))));
  for (auto& s : senders) s->start();
  store disk;
  auto faults = std::make_shared<ilm::testing::store_faults>();
  faults->commit_time = 20ms;
  auto fails = std::make_shared<bool>(true);
  effect_call handler = [=](message m, effect_context context) -> asio::awaitable<void> {
    context.apply<lent>([=, text = m.from + std::string(m.text())](auto& t) {
      write_down(t, text);
      if (*fails && m.from.back() != '7') throw std::runtime_error("not yet");
    });
    co_return;
  };
  effect_messenger b(w.context, backend(disk, faults), w.net.join("b"), handler);
  for (auto& s : senders) s->send("b", "x");
  REQUIRE(w.until([&] { return effect_entries(disk).size() == 5; }));
  std::uint64_t commits = faults->commits;
  CHECK(commits < 20);
  *fails = false;
  REQUIRE(w.until([&] { return effect_entries(disk).size() == 50; }));
}

TEST_CASE("a store that refuses or fails has effects applied again, and stores them once",
          "[effects]") {
  effect_desk p;
  auto applied = std::make_shared<int>(0);
  p.b.reset();
  p.w.run_for(0s);
  p.handler = [=](message m, effect_context context) -> asio::awaitable<void> {
    context.apply<lent>([=, text = std::string(m.text())](auto& t) {
      ++*applied;
      write_down(t, text);
    });
    co_return;
  };
  p.start();
  p.faults->refuse = [](const auto& change) {
    return change.peer == "a" ? std::make_error_code(std::errc::no_space_on_device)
                              : std::error_code();
  };
  send_all(p.d, "b", {"from d"});
  REQUIRE(p.w.until([&] { return p.consumed_from("d") == 1; }));
  send_all(p.a, "b", {"from a"});
  p.w.run_for(5s);
  CHECK(effect_entries(p.disk) == std::vector<std::string>{"from d"});
  p.faults->refuse = nullptr;
  REQUIRE(p.w.until([&] { return p.consumed_from("a") == 1; }, 1h));
  CHECK(effect_entries(p.disk) == std::vector<std::string>{"from d", "from a"});
}

TEST_CASE(
    "a delivery under way when an effect before it fails is cancelled, and counts for nothing",
    "[effects]") {
  auto fails = std::make_shared<bool>(true);
  auto cancelled = std::make_shared<int>(0);
  auto ended = std::make_shared<std::vector<std::string>>();
  effect_desk p([=](message m, effect_context context) -> asio::awaitable<void> {
    std::string text(m.text());
    context.apply<lent>([=](auto& t) {
      if (*fails && text == "0") throw std::runtime_error("not yet");
      write_down(t, text);
    });
    if (text == "1" && *fails) {
      ilm::testing::simulated_timer pause(co_await asio::this_coro::executor, 1h);
      try {
        co_await pause.async_wait(asio::use_awaitable);
      } catch (const std::system_error&) {
        ++*cancelled;
      }
    }
    ended->push_back(text);
  });
  p.faults->commit_time = 1ms;
  send_all(p.a, "b", numbered(3));
  REQUIRE(p.w.until([&] { return *cancelled > 0; }));
  CHECK(effect_entries(p.disk).empty());
  *fails = false;
  REQUIRE(p.w.until([&] { return p.consumed_from("a") == 3; }));
  CHECK(effect_entries(p.disk) == numbered(3));
  CHECK(std::count(ended->begin(), ended->end(), "2") == 1);
}

TEST_CASE("a reader of an inbox has effects, and learns of one that fails", "[effects]") {
  world w;
  peer a = w.make("a");
  a.start();
  store disk;
  ilm::inbox<std::string> inbox;
  ilm::messenger b(w.context, disk, w.net.join("b"), inbox);
  store_all(w, a, "b", numbered(3));
  bool fails = true;
  auto read = [&]() -> asio::awaitable<std::string> {
    ilm::received<std::string> m = co_await inbox.receive();
    m.context.apply<lent>([&, text = std::string(m.text())](auto& t) {
      if (fails) throw std::runtime_error("no");
      write_down(t, text);
    });
    co_return std::string(m.text());
  };
  CHECK(w.run(read()) == "0");
  auto consume = [&]() -> asio::awaitable<std::error_code> {
    std::error_code failed;
    try {
      co_await inbox.consume();
    } catch (const std::system_error& e) {
      failed = e.code();
    }
    co_return failed;
  };
  CHECK(w.run(consume()) == ilm::error::message_returned);
  CHECK(effect_entries(disk).empty());
  fails = false;
  for (int i = 0; i < 3; ++i) {
    CHECK(w.run(read()) == std::to_string(i));
    CHECK(!w.run(consume()));
  }
  CHECK(effect_entries(disk) == numbered(3));
}

TEST_CASE("a context has effects while the delivery runs, of the type that the store lends",
          "[effects]") {
  auto kept = std::make_shared<std::optional<effect_context>>();
  auto wrong = std::make_shared<std::error_code>();
  effect_desk p([=](message, effect_context context) -> asio::awaitable<void> {
    *kept = context;
    struct other {};
    try {
      context.apply<other>([](other&) {});
    } catch (const std::system_error& e) {
      *wrong = e.code();
    }
    co_return;
  });
  store_all(p.w, p.a, "b", {"one"});
  REQUIRE(p.w.until([&] { return p.consumed_from("a") == 1; }));
  CHECK(*wrong == ilm::error::no_transaction);
  effect_context none;
  for (effect_context* over : {&**kept, &none}) {
    std::error_code refused;
    try {
      over->apply<lent>([](auto&) {});
    } catch (const std::system_error& e) {
      refused = e.code();
    }
    CHECK(refused == ilm::error::delivery_ended);
  }
  kept->reset();
}

TEST_CASE("a shutdown stores the effects of what was consumed, but for one that fails",
          "[effects]") {
  effect_desk p([](message m, effect_context context) -> asio::awaitable<void> {
    context.apply<lent>([text = std::string(m.text())](auto& t) {
      if (text == "7") throw std::runtime_error("never");
      write_down(t, text);
    });
    co_return;
  });
  p.faults->commit_time = 10ms;
  send_all(p.a, "b", numbered(10));
  p.w.run_for(25ms);
  auto stop = [](effect_messenger& m) -> asio::awaitable<ilm::shutdown_report<std::string>> {
    co_return co_await m.shutdown(2s);
  };
  p.w.run(stop(*p.b));
  std::vector<std::string> done = effect_entries(p.disk);
  CHECK(done.size() == p.consumed_from("a"));
  CHECK(done.size() <= 7);
  CHECK(std::equal(done.begin(), done.end(), numbered(10).begin()));
}

TEST_CASE("a peer that is forgotten takes its pending effects with it", "[effects]") {
  effect_desk p;
  p.faults->commit_time = 50ms;
  send_all(p.a, "b", numbered(3));
  p.w.run_for(130ms);
  auto forget = [](effect_messenger& m) -> asio::awaitable<ilm::forget_report> {
    co_return co_await m.forget("a");
  };
  ilm::forget_report dropped = p.w.run(forget(*p.b));
  CHECK(effect_entries(p.disk).size() + dropped.unread <= 3);
  std::size_t before = effect_entries(p.disk).size();
  p.w.run_for(1s);
  CHECK(effect_entries(p.disk).size() >= before);
}
