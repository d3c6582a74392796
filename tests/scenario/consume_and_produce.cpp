#include "support/catch.hpp"
#include "support/steps.hpp"

#include <ilm/delivery_context.hpp>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace test;

// The sends of a delivery go to the store with its consumption, or nowhere.

namespace {

using context_type = ilm::delivery_context<std::string>;
using work = std::function<void(const message&, context_type&)>;
using relay_messenger = ilm::messenger<backend, network, work>;

/// Passes each message on to "c".
void pass_on(const message& m, context_type& context) { context.send_to("c", m.contents); }

/// A sender "a", a relay "b" whose handler may be chosen, and a receiver "c".
struct chain {
  explicit chain(work does = pass_on, ilm::options o = {})
      : a(w.make("a")), c(w.make("c")), handler(std::move(does)), options(std::move(o)) {
    a.start();
    c.start();
    start();
  }

  void start() { b.emplace(w.context, backend(disk, faults), w.net.join("b"), handler, options); }
  void restart() {
    b.reset();
    w.run_for(0s);
    start();
  }
  ilm::event_kind next_kind() {
    auto next = [](relay_messenger& m) -> asio::awaitable<event> {
      co_return co_await m.next_event();
    };
    last = w.run(next(*b));
    return last.kind;
  }
  /// Events up to one of this kind.
  void expect(ilm::event_kind kind) {
    while (next_kind() != kind) {
    }
  }

  world w;
  peer a, c;
  store disk;
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  work handler;
  ilm::options options;
  std::optional<relay_messenger> b;
  event last;
};

/// How many messages a copy of the store has consumed from "a", and accepted for "c".
std::pair<std::uint64_t, std::uint64_t> in_and_out(world& w, const store& disk) {
  return {cursors_of(w, disk, "a").inbox.first - 1, cursors_of(w, disk, "c").outbox.next - 1};
}

}  // namespace

TEST_CASE("a consumption and its sends are in one commit, however full it is") {
  for (std::size_t bound : {1U, 4U, 8192U}) {
    ilm::options o;
    o.uncommitted_messages = bound;
    chain p(pass_on, o);
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
    // Others fill the bound all the time.
    auto others = [](relay_messenger& m, int count) -> asio::awaitable<void> {
      while (count-- > 0) {
        try {
          co_await m.send_to("d", "another");
        } catch (const std::system_error&) {
        }
      }
    };
    for (int i = 0; i < 10; ++i) {
      asio::co_spawn(p.w.context, others(*p.b, 50), asio::detached);
    }
    store_all(p.w, p.a, "b", numbered(500));
    REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 500; }, 1h));
    CHECK(p.c.app().texts() == numbered(500));
    REQUIRE(copies.size() > 3);
    std::uint64_t most = 0;
    for (const store& copy : copies) {
      auto [in, out] = in_and_out(p.w, copy);
      CHECK(in == out);
      most = std::max(most, in);
    }
    CHECK(most == 500);
  }
}

TEST_CASE("a relay that is killed at any commit gives one output for each input") {
  for (unsigned at = 1; at < 60; at += 3) {
    chain p;
    std::uint64_t commits = 0;
    bool killed = false;
    p.faults->watch = [&](auto operation, bool after) {
      if (operation != ilm::testing::store_faults::operation::commit) return;
      if (++commits == at && !killed) {
        killed = true;
        asio::post(p.w.context, [&] { p.restart(); });
      }
      static_cast<void>(after);
    };
    auto paced = [](peer& from) -> asio::awaitable<void> {
      for (const std::string& text : numbered(100)) {
        co_await from.send_to("b", text);
        ilm::testing::simulated_timer pause(co_await asio::this_coro::executor, 3ms);
        co_await pause.async_wait(asio::use_awaitable);
      }
    };
    p.w.run(paced(p.a));
    REQUIRE(p.w.until([&] { return p.c.app().consumed.size() >= 100; }));
    p.w.run_for(10s);
    INFO("killed at commit " << at);
    CHECK(p.c.app().texts() == numbered(100));
    CHECK(killed);
  }
}

TEST_CASE("a delivery may send several messages, to its sender and to peers never met") {
  chain p([](const message& m, context_type& context) {
    CHECK(context.from() == "a");
    CHECK(context.attempt() == 1);
    context.send_to("a", "re: " + std::string(m.text()));
    context.send_to("c", "1");
    context.send_to("e", "to somebody new");
    context.send_to("c", "2");
  });
  peer e = p.w.make("e");
  e.start();
  store_all(p.w, p.a, "b", {"x"});
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 2 && !e.app().consumed.empty(); }));
  p.w.run_for(1s);
  CHECK(p.a.app().texts() == std::vector<std::string>{"re: x"});
  CHECK(p.c.app().texts() == std::vector<std::string>{"1", "2"});
}

TEST_CASE("a delivery that throws has sent nothing, and is told how often it was tried") {
  std::vector<unsigned> attempts;
  chain p([&](const message& m, context_type& context) {
    attempts.push_back(context.attempt());
    context.send_to("c", "attempt " + std::to_string(context.attempt()));
    if (m.text() == "0" && context.attempt() < 4) throw std::runtime_error("not yet");
  });
  store_all(p.w, p.a, "b", numbered(2));
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 2; }));
  CHECK(attempts == std::vector<unsigned>{1, 2, 3, 4, 1});
  CHECK(p.c.app().texts() == std::vector<std::string>{"attempt 4", "attempt 1"});
}

TEST_CASE("a context refuses at once what cannot be sent, and everything once its delivery ended") {
  std::optional<context_type> kept;
  std::vector<std::error_code> refused;
  ilm::options o;
  o.maximum_message_size = 100;
  chain p(
      [&](const message&, context_type& context) {
        auto try_send = [&](const std::string& to, const std::string& text,
                            const ilm::send_options& with) {
          try {
            context.send_to(to, text, with);
          } catch (const std::system_error& e) {
            refused.push_back(e.code());
          }
        };
        ilm::send_options wrong;
        wrong.headers = {{"", "a header without a key"}};
        ilm::send_options large;
        large.headers = {{"k", "v"}};
        try_send("b", "to itself", {});
        try_send("", "to nobody", {});
        try_send("c", std::string(101, 'x'), {});
        try_send("c", std::string(96, 'x'), large);
        try_send("c", "with a bad header", wrong);
        kept = context;
      },
      o);
  store_all(p.w, p.a, "b", {"x"});
  REQUIRE(p.w.until([&] { return kept && empty(p.a); }));
  using ilm::error;
  CHECK(refused == std::vector<std::error_code>{error::send_to_self, error::invalid_peer_id,
                                                error::message_too_large, error::message_too_large,
                                                error::invalid_attributes});
  try {
    kept->send_to("c", "too late");
    FAIL("a delivery that ended took a send");
  } catch (const std::system_error& e) {
    CHECK(e.code() == error::delivery_ended);
  }
  p.w.run_for(1s);
  CHECK(p.c.app().consumed.empty());
}

TEST_CASE("a delivery whose sends find no room in an outbox fails, and goes through later") {
  ilm::options o;
  o.outbox_limit = 2;
  chain p(
      [](const message& m, context_type& context) {
        context.send_to("c", m.contents);
        context.send_to("c", m.contents);
      },
      o);
  p.c.crash();
  store_all(p.w, p.a, "b", numbered(3));
  p.expect(ilm::event_kind::delivery_failed);
  CHECK(p.last.error == ilm::error::outbox_full);
  p.w.run_for(10s);
  CHECK(in_and_out(p.w, p.disk) == std::pair<std::uint64_t, std::uint64_t>(1, 2));
  p.c.start();
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 6; }));
  CHECK(p.c.app().texts() == std::vector<std::string>{"0", "0", "1", "1", "2", "2"});
}

TEST_CASE("deliveries that waited for room go on when the store has what was sent before") {
  ilm::options o;
  o.uncommitted_messages = 1;
  // No ping brings the relay to look again.
  o.keepalive_interval = 0s;
  chain p(pass_on, o);
  p.a.crash();
  p.a.start(o);
  peer d = p.w.make("d");
  d.start(o);
  p.faults->commit_time = 1ms;
  store_all(p.w, p.a, "b", numbered(50));
  store_all(p.w, d, "b", numbered(50));
  CHECK(p.w.until([&] { return p.c.app().consumed.size() == 100; }, 10s));
}

TEST_CASE("a delivery waits for the sends and bytes of others to be stored, and no longer") {
  ilm::options o;
  o.maximum_message_size = 1000;
  if (GENERATE(true, false)) {
    o.uncommitted_messages = 1;
  } else {
    o.uncommitted_bytes = 1000;
  }
  bool refuses = true;
  std::size_t begun = 0;
  chain p(
      [&](const message&, context_type& context) {
        if (refuses) throw std::runtime_error("not now");
        ++begun;
        context.send_to("c", std::string(1000, 'x'));
      },
      o);
  peer d = p.w.make("d");
  d.start();
  store_all(p.w, p.a, "b", {"0"});
  store_all(p.w, d, "b", {"0"});
  REQUIRE(p.w.until([&] { return p.disk.size(ilm::queue::inbox) == 2; }));
  // Of those that are gone, nothing comes that has the relay look again.
  for (peer* gone : {&p.a, &p.c, &d}) crash(p.w, *gone);
  refuses = false;
  p.faults->commit_time = 1min;
  p.restart();
  p.w.run_for(50s);
  CHECK(begun == 1);
  p.w.run_for(20s);
  CHECK(begun == 2);
}

TEST_CASE("a handler answers before its messenger has a name, and one that needs it starts later") {
  world w;
  peer a = w.make("a");
  a.start();
  store disk;
  {
    // A backlog, which is delivered as soon as the store is open.
    auto nothing = [](const message&, context_type&) { throw std::runtime_error("not now"); };
    relay_messenger b(w.context, backend(disk), w.net.join("b"), work(nothing));
    store_all(w, a, "b", numbered(3));
    w.run_for(1s);
  }
  w.run_for(0s);
  std::unique_ptr<relay_messenger> b;
  work answer = [&](const message& m, context_type& context) {
    REQUIRE(b);
    context.send_to("a", m.contents);
    CHECK(context.messenger().local_id() == "b");
    b->send_to(m.from, "by name", [](std::error_code, std::uint64_t) {});
  };
  b = std::make_unique<relay_messenger>(w.context, backend(disk), w.net.join("b"), answer,
                                        ilm::options(), ilm::start_later);
  w.run_for(10s);
  CHECK(a.app().consumed.empty());
  b->start();
  b->start();
  REQUIRE(w.until([&] { return a.app().consumed.size() == 6; }));
}

TEST_CASE("a messenger that was never started can be shut down, and destroyed") {
  world w;
  store disk;
  auto nothing = [](const message&, context_type&) {};
  auto end = [](relay_messenger& m) -> asio::awaitable<report> {
    co_return co_await m.shutdown(1s);
  };
  {
    relay_messenger b(w.context, backend(disk), w.net.join("b"), work(nothing), ilm::options(),
                      ilm::start_later);
    CHECK(w.run(end(b)).undelivered == 0);
  }
  bool refused = false;
  {
    relay_messenger b(w.context, backend(disk), w.net.join("b"), work(nothing), ilm::options(),
                      ilm::start_later);
    b.send_to("a", "never stored", [&](std::error_code e, std::uint64_t) { refused = bool(e); });
    w.run_for(1s);
    CHECK_FALSE(refused);
  }
  w.run_for(1s);
  CHECK(refused);
}

namespace {

/// Awaits a shutdown inside the call, and keeps its error.
struct ends_itself {
  std::shared_ptr<std::vector<std::error_code>> errors;
  std::function<void()> also;

  asio::awaitable<void> operator()(message, context_type& context) {
    try {
      co_await inner(context);
    } catch (const std::system_error& e) {
      errors->push_back(e.code());
    }
    try {
      auto strand = asio::make_strand(co_await asio::this_coro::executor);
      co_await asio::co_spawn(strand, inner(context), asio::use_awaitable);
    } catch (const std::system_error& e) {
      errors->push_back(e.code());
    }
    if (also) also();
  }
  asio::awaitable<void> inner(context_type& context) { co_await context.messenger().shutdown(1h); }
};

}  // namespace

TEST_CASE("a handler that awaits its messenger's shutdown is told, and its message is consumed") {
  world w;
  peer a = w.make("a");
  a.start();
  store disk;
  auto errors = std::make_shared<std::vector<std::error_code>>();
  bool ended = false;
  std::optional<ilm::messenger<backend, network, ends_itself>> b;
  ends_itself handler{
      errors, [&] {
        // As the error's text says: from a coroutine of its own.
        auto end = [](auto& m) -> asio::awaitable<void> { co_await m->shutdown(1h); };
        asio::co_spawn(w.context, end(b), [&](std::exception_ptr) { ended = true; });
      }};
  b.emplace(w.context, backend(disk), w.net.join("b"), handler);
  store_all(w, a, "b", {"x"});
  auto before = clock::now();
  REQUIRE(w.until([&] { return ended; }));
  CHECK(clock::now() - before < 1s);
  CHECK(*errors == std::vector<std::error_code>(2, ilm::error::shutdown_in_delivery));
  CHECK(disk.size(ilm::queue::inbox) == 0);
}

TEST_CASE("replies of an inbox are stored with the consumption") {
  using inbox = ilm::inbox<std::string>;
  for (bool asks : {false, true}) {
    world w;
    peer a = w.make("a");
    a.start();
    store disk;
    inbox incoming;
    std::optional<ilm::messenger<backend, network, inbox>> b;
    b.emplace(w.context, backend(disk), w.net.join("b"), incoming);
    store_all(w, a, "b", numbered(2));
    std::optional<ilm::received<std::string>> m;
    auto reply = [](inbox& from, auto& into) -> asio::awaitable<void> {
      into = co_await from.receive();
      into->context.send_to("a", "re: " + std::string(into->text()));
    };
    w.run(reply(incoming, m));
    w.run_for(1s);
    CHECK(a.app().consumed.empty());
    CHECK(disk.size(ilm::queue::outbox) == 0);
    auto go_on = [](inbox& from, bool next) -> asio::awaitable<void> {
      if (next) {
        auto second = co_await from.receive();
        CHECK(second.text() == "1");
      } else {
        co_await from.consume();
      }
    };
    w.run(go_on(incoming, asks));
    REQUIRE(w.until([&] { return a.app().consumed.size() == 1; }));
    CHECK(a.app().texts() == std::vector<std::string>{"re: 0"});
    CHECK_THROWS_AS(m->context.send_to("a", "too late"), std::system_error);
  }
}

TEST_CASE("replies to a message that was given again are forgotten") {
  using inbox = ilm::inbox<std::string>;
  world w;
  peer a = w.make("a");
  a.start();
  store disk;
  inbox incoming;
  ilm::messenger<backend, network, inbox> b(w.context, backend(disk), w.net.join("b"), incoming);
  store_all(w, a, "b", {"x"});
  std::optional<context_type> first;
  auto fail = [](inbox& from, auto& kept) -> asio::awaitable<void> {
    auto m = co_await from.receive();
    m.context.send_to("a", "of the first attempt");
    kept = m.context;
    throw std::runtime_error("no work today");
  };
  CHECK_THROWS_AS(w.run(fail(incoming, first)), std::runtime_error);
  CHECK_THROWS_AS(first->send_to("a", "too late"), std::system_error);
  auto succeed = [](inbox& from) -> asio::awaitable<void> {
    auto m = co_await from.receive();
    m.context.send_to("a", "of attempt " + std::to_string(m.context.attempt()));
    co_await from.consume();
  };
  w.run(succeed(incoming));
  w.run_for(1s);
  CHECK(a.app().texts() == std::vector<std::string>{"of attempt 2"});
}

TEST_CASE("a shutdown counts no send of a delivery that the store refused") {
  chain p;
  store_all(p.w, p.a, "b", {"0"});
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 1; }));
  p.w.run_for(1s);
  p.faults->commit_error = std::make_error_code(std::errc::no_space_on_device);
  store_all(p.w, p.a, "b", {"1"});
  p.w.run_for(1s);
  auto end = [](relay_messenger& m) -> asio::awaitable<report> {
    co_return co_await m.shutdown(1s);
  };
  report left = p.w.run(end(*p.b));
  CHECK(left.undelivered == 0);
  p.faults->commit_error = {};
  p.restart();
  REQUIRE(p.w.until([&] { return p.c.app().consumed.size() == 2; }));
  CHECK(p.c.app().texts() == numbered(2));
}

TEST_CASE("an event that comes in the turn of a cancellation stays the next one") {
  chain p;
  p.w.run_for(1s);
  std::vector<ilm::event_kind> kinds;
  for (int turn = 0; turn < 20; ++turn) {
    asio::cancellation_signal stop;
    bool ended = false;
    p.b->next_event(
        asio::bind_cancellation_slot(stop.slot(), [&](std::error_code e, const event& got) {
          ended = true;
          if (!e) kinds.push_back(got.kind);
        }));
    if (turn % 2 == 0) p.w.run_for(0s);
    p.w.net.disconnect("a", "b");
    for (int i = 0; i < turn && !ended; ++i) p.w.context.poll_one();
    stop.emit(asio::cancellation_type::terminal);
    p.w.run_for(1s);
    CHECK(ended);
    p.w.net.connect("a", "b");
    p.w.run_for(1h);  // A session that flaps is summed up.
  }
  // Of each turn, the end and the beginning of a session.
  p.b->shutdown(1s, [](std::error_code, const report&) {});
  bool over = false;
  std::function<void()> rest = [&] {
    p.b->next_event([&](std::error_code e, const event& got) {
      if (e) {
        over = true;
        return;
      }
      kinds.push_back(got.kind);
      rest();
    });
  };
  rest();
  REQUIRE(p.w.until([&] { return over; }));
  auto count = [&](ilm::event_kind kind) { return std::count(kinds.begin(), kinds.end(), kind); };
  CHECK(count(ilm::event_kind::peer_disconnected) >= 20);
  CHECK(count(ilm::event_kind::peer_connected) >= 21);
}
