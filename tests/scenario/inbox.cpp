#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/deliveries/inbox.hpp>

#include <asio/bind_executor.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <asio/steady_timer.hpp>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

using namespace test;

// A reader that co_awaits an inbox instead of a handler that is called.

namespace {

using inbox = ilm::inbox<std::string>;
using reading_messenger = ilm::messenger<backend, network, inbox>;

struct reader {
  reader(world& w, const std::string& name, const store& disk)
      : node(std::make_unique<reading_messenger>(w.context, backend(disk), w.net.join(name),
                                                 incoming)) {}

  inbox incoming;
  std::unique_ptr<reading_messenger> node;
};

/// Reads, and says that it is done with the last one as well.
asio::awaitable<void> read(inbox from, std::size_t count, std::vector<std::string>& into) {
  while (count-- > 0) {
    message m = co_await from.receive();
    into.emplace_back(m.text());
  }
  co_await from.consume();
}

/// Takes one message, and does not say that it is done.
asio::awaitable<std::string> take(inbox& from) {
  message m = co_await from.receive();
  co_return std::string(m.text());
}

asio::awaitable<void> consume(inbox& from) { co_await from.consume(); }

/// A peer that sends and one that reads.
struct reading_pair {
  explicit reading_pair(const std::vector<std::string>& texts) : a(w.make("a")) {
    a.start();
    b.emplace(w, "b", disk);
    store_all(w, a, "b", texts);
    w.run_for(1s);
  }
  /// The reader's process is killed, and starts again.
  void restart() {
    b.reset();
    w.run_for(0s);
    b.emplace(w, "b", disk);
  }
  std::size_t unconfirmed() {
    w.run_for(1s);
    return a.disk().size(ilm::queue::outbox);
  }

  world w;
  peer a;
  store disk;
  std::optional<reader> b;
};

}  // namespace

TEST_CASE("a message is consumed when its reader asks for the next, and not before") {
  reading_pair p(numbered(10));
  CHECK(p.unconfirmed() == 10);
  CHECK(p.w.run(take(p.b->incoming)) == "0");
  CHECK(p.unconfirmed() == 10);
  CHECK(p.w.run(take(p.b->incoming)) == "1");
  CHECK(p.unconfirmed() == 9);
  CHECK(p.w.run(take(p.b->incoming)) == "2");
  CHECK(p.unconfirmed() == 8);
}

TEST_CASE("consume says that a reader is done, and completes when the store knows") {
  reading_pair p(numbered(2));
  p.w.run(consume(p.b->incoming));  // nothing to consume
  CHECK(p.w.run(take(p.b->incoming)) == "0");
  p.w.run(consume(p.b->incoming));
  CHECK(p.disk.size(ilm::queue::inbox) == 1);
  CHECK(p.unconfirmed() == 1);
  p.restart();
  CHECK(p.w.run(take(p.b->incoming)) == "1");
}

TEST_CASE("a reader that is killed at work gets the message again in the next life") {
  reading_pair p(numbered(3));
  CHECK(p.w.run(take(p.b->incoming)) == "0");
  CHECK(p.w.run(take(p.b->incoming)) == "1");
  p.w.run_for(1s);
  p.restart();
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 2, texts));
  CHECK(texts == std::vector<std::string>{"1", "2"});
  CHECK(p.unconfirmed() == 0);
}

TEST_CASE("consume waits for a store that fails") {
  // A consumption that cannot be stored now is stored later; until then nobody is told that it is.
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  auto faults = std::make_shared<ilm::testing::store_faults>();
  inbox incoming;
  reading_messenger b(w.context, backend(disk, faults), w.net.join("b"), incoming);
  store_all(w, a, "b", {"0"});
  CHECK(w.run(take(incoming)) == "0");
  faults->commit_error = std::make_error_code(std::errc::no_space_on_device);
  bool done = false;
  incoming.consume(asio::bind_executor(w.context, [&](std::error_code e) { done = !e; }));
  w.run_for(10s);
  CHECK_FALSE(done);
  CHECK(disk.size(ilm::queue::inbox) == 1);
  faults->commit_error = {};
  REQUIRE(w.until([&] { return done; }));
  CHECK(disk.size(ilm::queue::inbox) == 0);
}

TEST_CASE("consume ends when the messenger does before the store knows") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  auto faults = std::make_shared<ilm::testing::store_faults>();
  inbox incoming;
  auto b = std::make_unique<reading_messenger>(w.context, backend(disk, faults), w.net.join("b"),
                                               incoming);
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return disk.size(ilm::queue::inbox) == 1; }));
  w.run_for(1s);
  REQUIRE(incoming.try_receive());
  faults->commit_time = 1h;
  std::optional<std::error_code> ended;
  auto say_done = [&] {
    incoming.consume(asio::bind_executor(w.context, [&](std::error_code e) { ended = e; }));
  };
  if (GENERATE(true, false)) {
    say_done();
    w.run_for(1s);
    CHECK_FALSE(ended);
    b.reset();
  } else {
    // The end of the delivery comes behind that of the messenger.
    b.reset();
    say_done();
  }
  w.run_for(1s);
  CHECK(ended == std::optional<std::error_code>(asio::error::operation_aborted));
}

TEST_CASE("an exception in the reader's work gives the message again, with the next attempt") {
  reading_pair p(numbered(2));
  auto fail_at_work = [](inbox& from, unsigned& attempt) -> asio::awaitable<void> {
    auto m = co_await from.receive();
    attempt = m.context.attempt();
    throw std::runtime_error("no work today");
  };
  unsigned attempt = 0;
  for (unsigned expected : {1U, 2U, 3U}) {
    CHECK_THROWS_AS(p.w.run(fail_at_work(p.b->incoming, attempt)), std::runtime_error);
    CHECK(attempt == expected);
  }
  // As a plain message, too.
  auto fail_with_message = [](inbox& from) -> asio::awaitable<void> {
    message m = co_await from.receive();
    if (m.text() == "0") throw std::runtime_error("no work today");
  };
  CHECK_THROWS_AS(p.w.run(fail_with_message(p.b->incoming)), std::runtime_error);
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 2, texts));
  CHECK(texts == numbered(2));
}

TEST_CASE("a reader that is cancelled at work gives the message to the next") {
  reading_pair p(numbered(2));
  asio::cancellation_signal stop;
  bool ended = false;
  auto work = [](inbox& from) -> asio::awaitable<void> {
    message m = co_await from.receive();
    co_await sleep_for(1h);
    co_await from.consume();
  };
  asio::co_spawn(
      p.w.context, work(p.b->incoming),
      asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr) { ended = true; }));
  p.w.run_for(1s);
  stop.emit(asio::cancellation_type::terminal);
  REQUIRE(p.w.until([&] { return ended; }));
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 2, texts));
  CHECK(texts == numbered(2));
}

TEST_CASE("a message that is given back goes to a reader that waits") {
  reading_pair p(numbered(1));
  inbox second = p.b->incoming;
  auto fail_later = [](inbox& from) -> asio::awaitable<void> {
    message m = co_await from.receive();
    co_await sleep_for(1s);
    throw std::runtime_error("no work today");
  };
  bool failed = false;
  asio::co_spawn(p.w.context, fail_later(p.b->incoming),
                 [&](std::exception_ptr e) { failed = e != nullptr; });
  p.w.run_for(0s);
  std::vector<std::string> texts;
  p.w.run(read(second, 1, texts));
  CHECK((failed && texts == numbered(1)));
}

TEST_CASE("a message promised to a reader whose context ends goes to another") {
  reading_pair p({});
  auto other = std::make_unique<asio::io_context>();
  bool given = false;
  p.b->incoming.receive(
      asio::bind_executor(*other, [&](std::error_code, const message&) { given = true; }));
  store_all(p.w, p.a, "b", numbered(1));
  p.w.run_for(1s);
  other.reset();
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 1, texts));
  CHECK((!given && texts == numbered(1)));
}

TEST_CASE("a reader that gets its message after the messenger has ended cannot consume it") {
  reading_pair p({});
  inbox box = p.b->incoming;
  asio::io_context other;
  std::optional<message> given;
  box.receive(asio::bind_executor(other, [&](std::error_code e, const message& m) {
    if (!e) given = m;
  }));
  store_all(p.w, p.a, "b", numbered(1));
  p.w.run_for(1s);
  p.b.reset();
  p.w.run_for(1s);
  // The message is on its way to the reader.
  other.run();
  REQUIRE(given);
  try {
    p.w.run(consume(box));
    FAIL("a message was consumed that comes again");
  } catch (const std::system_error& e) {
    CHECK(e.code() == ilm::error::message_returned);
  }
  p.w.run(consume(box));
  p.b.emplace(p.w, "b", p.disk);
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 1, texts));
  CHECK(texts == numbered(1));
}

TEST_CASE("a receive that is cancelled in the turn of its result has given nothing") {
  enum class how { one, some, within };
  auto way = GENERATE(how::one, how::some, how::within);
  std::size_t given = 0, cancelled = 0;
  for (std::size_t turns = 0; turns < 60; ++turns) {
    reading_pair p({});
    asio::cancellation_signal stop;
    std::optional<std::error_code> result;
    auto bound = [&](auto handler) {
      return asio::bind_cancellation_slot(stop.slot(),
                                          asio::bind_executor(p.w.context, std::move(handler)));
    };
    auto take = [&](std::error_code e, std::size_t count) {
      result = e;
      CHECK(count == (e ? 0 : 1));
    };
    if (way == how::one) {
      p.b->incoming.receive(bound([&](std::error_code e, const message&) { take(e, e ? 0 : 1); }));
    } else if (way == how::some) {
      p.b->incoming.receive_some(
          3, bound([&](std::error_code e, const auto& all) { take(e, all.size()); }));
    } else {
      p.b->incoming.receive_for(
          1h, bound([&](std::error_code e, const auto& m) { take(e, m.has_value() ? 1 : 0); }));
    }
    sends all = send_all(p.a, "b", numbered(1));
    p.w.until([&] { return result || p.disk.size(ilm::queue::inbox) == 1; });
    for (std::size_t i = 0; i < turns && !result; ++i) p.w.context.poll_one();
    bool before = result.has_value();
    stop.emit(asio::cancellation_type::terminal);
    REQUIRE(p.w.until([&] { return result.has_value(); }));
    CHECK(bool(*result) != before);
    ++(*result ? cancelled : given);
    std::vector<std::string> texts;
    if (*result) p.w.run(read(p.b->incoming, 1, texts));
    if (!*result) p.w.run(consume(p.b->incoming));
    CHECK(p.unconfirmed() == 0);
  }
  CHECK((given > 0 && cancelled > 3));
}

TEST_CASE("a receive that races a timer loses no message") {
  constexpr std::size_t count = 300;
  reading_pair p({});
  auto race = [](world& w, inbox& from, std::size_t messages) -> asio::awaitable<std::size_t> {
    using namespace asio::experimental::awaitable_operators;
    std::size_t in_order = 0;
    std::size_t cut_off = 0;
    for (std::size_t turns = 0; in_order < messages && turns < 1'000'000; ++turns) {
      // A timer that ends after a few turns of the loop, with and without a message in the same.
      asio::steady_timer timer(w.context, std::chrono::steady_clock::now());
      auto turn = [](asio::steady_timer& t, std::size_t extra) -> asio::awaitable<void> {
        co_await t.async_wait(asio::use_awaitable);
        while (extra-- > 0) co_await asio::post(asio::use_awaitable);
      };
      auto first = co_await (from.receive() || turn(timer, turns % 7));
      if (first.index() == 1) {
        ++cut_off;
        continue;
      }
      if (std::get<0>(first).text() != std::to_string(in_order)) co_return 0;
      ++in_order;
    }
    co_await from.consume();
    co_return cut_off > 0 ? in_order : 0;
  };
  sends all = send_all(p.a, "b", numbered(count));
  CHECK(p.w.run(race(p.w, p.b->incoming, count), 1h) == count);
  CHECK(p.unconfirmed() == 0);
}

TEST_CASE("receive_for gives a message, or none when the time is over") {
  asio::io_context context;
  fabric net;
  inbox incoming;
  auto wait = [](inbox& from) -> asio::awaitable<void> {
    auto none = co_await from.receive_for(1ms);
    CHECK_FALSE(none.has_value());
  };
  bool done = false;
  asio::co_spawn(context, wait(incoming), [&](std::exception_ptr e) { done = !e; });
  context.run();
  CHECK(done);
  incoming.close();
  auto closed = [](inbox& from) -> asio::awaitable<void> { co_await from.receive_for(1h); };
  std::exception_ptr failed;
  asio::co_spawn(context, closed(incoming), [&](std::exception_ptr e) { failed = e; });
  context.restart();
  context.run();
  CHECK(failed);
}

TEST_CASE("receive_some gives what waits of several peers, to be consumed together or one by one") {
  world w;
  peer a = w.make("a"), c = w.make("c");
  store disk;
  a.start();
  c.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", {"a0", "a1"});
  w.run_for(1s);  // No order is promised between peers.
  store_all(w, c, "b", {"c0", "c1"});
  w.run_for(1s);
  auto batch = [](inbox& from, std::vector<std::string>& into) -> asio::awaitable<void> {
    auto all = co_await from.receive_some(10);
    for (const message& m : all) into.emplace_back(m.text());
    co_await from.consume(all.back());
    try {
      co_await from.consume(all.back());
      into.emplace_back("consumed twice");
    } catch (const std::system_error& e) {
      if (e.code() != ilm::error::message_returned) throw;
    }
  };
  std::vector<std::string> texts;
  w.run(batch(b.incoming, texts));
  CHECK(texts == std::vector<std::string>{"a0", "c0"});
  w.run_for(1s);
  CHECK(a.disk().size(ilm::queue::outbox) == 2);
  CHECK(c.disk().size(ilm::queue::outbox) == 1);
  // One message of each is the next: that of "a" is still with the reader.
  w.run(consume(b.incoming));
  w.run(read(b.incoming, 2, texts));
  CHECK(texts.size() == 4);
  w.run_for(1s);
  CHECK((empty(a) && empty(c)));
}

TEST_CASE("receive_some of none at most waits for one") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", {"a0", "a1"});
  auto none = [](inbox& from, std::size_t& got) -> asio::awaitable<void> {
    auto all = co_await from.receive_some(0);
    got = all.size();
  };
  std::size_t got = 0;
  w.run(none(b.incoming, got));
  CHECK(got == 1);
}

TEST_CASE("a worker that asks for the next does not speak for another's message") {
  world w;
  peer a = w.make("a"), c = w.make("c");
  store disk;
  a.start();
  c.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", {"a0", "a1"});
  w.run_for(1s);  // No order is promised between peers.
  store_all(w, c, "b", {"c0", "c1"});
  w.run_for(1s);
  inbox first = b.incoming, second = b.incoming;
  CHECK(w.run(take(first)) == "a0");
  CHECK(w.run(take(second)) == "c0");
  CHECK(w.run(take(second)) == "c1");
  w.run(consume(second));
  w.run_for(1s);
  CHECK(a.disk().size(ilm::queue::outbox) == 2);
  CHECK(c.disk().size(ilm::queue::outbox) == 0);
}

TEST_CASE("a message with a reader when its messenger shuts down comes again in the next life") {
  reading_pair p(numbered(1));
  CHECK(p.w.run(take(p.b->incoming)) == "0");
  auto end = [](reading_messenger& m) -> asio::awaitable<report> {
    co_return co_await m.shutdown(1h);
  };
  auto before = clock::now();
  CHECK(p.w.run(end(*p.b->node)).unread == 1);
  CHECK(clock::now() - before < 1s);
  try {
    p.w.run(consume(p.b->incoming));
    FAIL("a message was consumed that comes again");
  } catch (const std::system_error& e) {
    CHECK(e.code() == ilm::error::message_returned);
  }
  p.w.run(consume(p.b->incoming));  // said once; there is nothing left to consume
  p.restart();
  std::vector<std::string> texts;
  p.w.run(read(p.b->incoming, 1, texts));
  CHECK(texts == numbered(1));
}

TEST_CASE("an inbox that is closed loses nothing: the next messenger delivers it",
          "[predecessor]") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  std::vector<std::string> texts;
  {
    reader b(w, "b", disk);
    store_all(w, a, "b", numbered(10));
    w.run(read(b.incoming, 3, texts));
    b.incoming.close();
    w.run_for(10s);
    CHECK(disk.size(ilm::queue::inbox) == 7);
    CHECK_THROWS_AS(w.run(read(b.incoming, 1, texts)), std::system_error);
  }
  w.run_for(10ms);
  reader again(w, "b", disk);
  w.run(read(again.incoming, 7, texts));
  CHECK(texts == numbered(10));
}

TEST_CASE("a shutdown does not wait for a reader") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", numbered(5));
  w.run_for(1s);
  auto before = clock::now();
  std::optional<report> left;
  b.node->shutdown(1h, [&](std::error_code, report r) { left = std::move(r); });
  REQUIRE(w.until([&] { return left.has_value(); }, 2h));
  CHECK(clock::now() - before < 1s);
  CHECK(left->unread == 5);
  CHECK(disk.size(ilm::queue::inbox) == 5);
}

TEST_CASE("a delivery that a shutdown cancels is not reported as failed") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  store_all(w, a, "b", {"0"});
  REQUIRE(w.until([&] { return disk.size(ilm::queue::inbox) == 1; }));
  w.run_for(1s);
  std::vector<ilm::event_kind> kinds;
  bool ended = false;
  std::function<void()> read_events = [&] {
    b.node->next_event([&](std::error_code failed, const event& e) {
      if (failed) {
        ended = true;
        return;
      }
      kinds.push_back(e.kind);
      read_events();
    });
  };
  read_events();
  b.node->shutdown(1s, [](std::error_code, const report&) {});
  REQUIRE(w.until([&] { return ended; }));
  CHECK_FALSE(kinds.empty());
  CHECK(std::count(kinds.begin(), kinds.end(), ilm::event_kind::delivery_failed) == 0);
}

TEST_CASE("several readers share an inbox, each message to one of them") {
  world w;
  peer a = w.make("a");
  store disk;
  a.start();
  reader b(w, "b", disk);
  std::vector<std::string> texts;
  int ended = 0;
  for (int i = 0; i < 5; ++i) {
    asio::co_spawn(w.context, read(b.incoming, 20, texts), [&](std::exception_ptr) { ++ended; });
  }
  store_all(w, a, "b", numbered(100));
  REQUIRE(w.until([&] { return ended == 5; }));
  CHECK(texts.size() == 100);
  std::sort(texts.begin(), texts.end());
  CHECK(std::adjacent_find(texts.begin(), texts.end()) == texts.end());
  w.run_for(1s);
  CHECK(empty(a));
}

TEST_CASE("an inbox, a message of it and its context outlive the execution context") {
  clock::reset();
  inbox box;
  store disk;
  std::optional<ilm::received<std::string>> kept;
  auto handled_by = [](asio::io_context& context, auto& into) {
    return asio::bind_executor(context, [&into](std::error_code e, const auto& m) {
      if (!e) into = m;
    });
  };
  std::optional<ilm::received<std::string>> second, never, again;
  {
    asio::io_context context;
    fabric net;
    reading_messenger a(context, backend(store()), net.join("a"), inbox());
    reading_messenger b(context, backend(disk), net.join("b"), box);
    for (const char* text : {"0", "1", "2"}) a.send_to("b", text, asio::detached);
    box.receive(handled_by(context, kept));
    clock::run_for(context, 1s);
    REQUIRE(kept);
    box.receive(handled_by(context, second));
    clock::run_for(context, 1s);
    REQUIRE(second);
    inbox other = box;
    other.receive(handled_by(context, never));
    clock::run_for(context, 1s);
  }
  CHECK(kept->text() == "0");
  CHECK_THROWS_AS(second->context.send_to("a", "too late"), std::system_error);
  std::error_code refused;
  asio::io_context context;
  second->context.messenger().send_to(
      "a", "too late",
      asio::bind_executor(context, [&](std::error_code e, std::uint64_t) { refused = e; }));
  clock::run_for(context, 0s);
  CHECK(refused == asio::error::operation_aborted);
  fabric net;
  reading_messenger b(context, backend(disk), net.join("b"), box);
  box.receive(handled_by(context, again));
  clock::run_for(context, 1s);
  REQUIRE(again);
  CHECK(again->text() == "1");
  CHECK_FALSE(never);
  clock::reset();
}
