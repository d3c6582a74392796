#include "support/catch.hpp"
#include "support/poor_executor.hpp"

#include <ilm/detail/async_event.hpp>

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <memory>
#include <new>
#include <string>

using ilm::detail::async_event;

namespace {

struct on_turns {
  asio::io_context context;
  std::shared_ptr<int> refusals = std::make_shared<int>(0);
  std::shared_ptr<ilm::detail::turns> turns =
      std::make_shared<ilm::detail::turns>(test::poor_executor(context.get_executor(), refusals));
  std::string log;

  void spawn(asio::awaitable<void> loop) {
    asio::co_spawn(context, std::move(loop), asio::detached);
    run();
  }
  /// Runs all that is posted. Gives the number of handlers.
  std::size_t run() {
    context.restart();
    return context.poll();
  }

  /// Notes its name after each wait.
  asio::awaitable<void> note(async_event& e, char name) {
    for (;;) {
      co_await e.wait();
      log += name;
    }
  }
};

}  // namespace

TEST_CASE_METHOD(on_turns, "coroutines that are notified go on in one turn, in order, once") {
  async_event a(*turns), b(*turns);
  spawn(note(a, 'a'));
  spawn(note(b, 'b'));
  b.notify();
  a.notify();
  b.notify();
  CHECK(log.empty());
  CHECK(run() == 1);
  CHECK(log == "ba");
  CHECK(run() == 0);
  a.abandon();
  b.abandon();
}

TEST_CASE_METHOD(on_turns, "a wait for what was notified before does not wait") {
  async_event e(*turns);
  e.notify();
  spawn(note(e, 'a'));
  CHECK(log == "a");
  e.abandon();
}

TEST_CASE_METHOD(on_turns, "a coroutine that another one notifies goes on in the same turn") {
  async_event a(*turns), b(*turns);
  auto pass_on = [&]() -> asio::awaitable<void> {
    co_await a.wait();
    log += 'a';
    b.notify();
  };
  spawn(pass_on());
  spawn(note(b, 'b'));
  a.notify();
  CHECK(run() == 1);
  CHECK(log == "ab");
  b.abandon();
}

TEST_CASE_METHOD(on_turns, "coroutines that notify one another for ever leave others a turn") {
  async_event a(*turns), b(*turns);
  unsigned count = 0;
  bool ended = false;
  auto play = [&](async_event& own, async_event& other) -> asio::awaitable<void> {
    while (!ended) {
      co_await own.wait();
      ++count;
      other.notify();
    }
  };
  spawn(play(a, b));
  spawn(play(b, a));
  a.notify();
  for (unsigned turn = 1; turn <= 3; ++turn) {
    CHECK(context.poll_one() == 1);
    CHECK(count == turn * ilm::detail::turns::longest);
  }
  ended = true;
  run();
}

TEST_CASE_METHOD(on_turns, "a coroutine that waits a turn lets all others go first") {
  async_event a(*turns), b(*turns);
  auto wait_a_turn = [&]() -> asio::awaitable<void> {
    co_await a.wait();
    b.notify();
    log += '(';
    co_await a.wait_a_turn();
    log += ')';
  };
  spawn(wait_a_turn());
  spawn(note(b, 'b'));
  a.notify();
  CHECK(context.poll_one() == 1);
  CHECK(log == "(b");
  // Not notified twice by what came meanwhile.
  a.notify();
  CHECK(context.poll_one() == 1);
  CHECK(log == "(b)");
  CHECK(run() == 0);
  b.abandon();
}

TEST_CASE_METHOD(on_turns, "a turn that was requested has its first and its last step, once") {
  async_event e(*turns);
  spawn(note(e, 'e'));
  turns->set_steps([&] { log += '['; }, [&] { log += ']'; }, [] {});
  auto kept = std::make_shared<int>();
  std::weak_ptr<int> watched = kept;
  turns->request(std::move(kept));
  turns->request();
  e.notify();
  CHECK_FALSE(watched.expired());
  CHECK(run() == 1);
  CHECK(log == "[e]");
  CHECK(watched.expired());
  e.abandon();
}

TEST_CASE_METHOD(on_turns, "what is requested in a turn has a turn of its own") {
  int left = 2;
  turns->set_steps([&] { log += '['; },
                   [&] {
                     if (left-- > 0) turns->request();
                   },
                   [] {});
  turns->request();
  CHECK(run() == 3);
  CHECK(log == "[[[");
}

TEST_CASE_METHOD(on_turns, "a turn that finds no memory is posted with the next one") {
  async_event a(*turns), b(*turns);
  spawn(note(a, 'a'));
  spawn(note(b, 'b'));
  *refusals = 1;
  CHECK_THROWS_AS(a.notify(), std::bad_alloc);
  b.notify();
  CHECK(run() == 1);
  CHECK(log == "ab");
  *refusals = 1;
  CHECK_THROWS_AS(turns->request(), std::bad_alloc);
  turns->request();
  CHECK(run() == 1);
  a.abandon();
  b.abandon();
}

TEST_CASE_METHOD(on_turns,
                 "an event whose turn found no memory goes on when it is notified again") {
  async_event e(*turns);
  spawn(note(e, 'e'));
  *refusals = 1;
  CHECK_THROWS_AS(e.notify(), std::bad_alloc);
  CHECK(run() == 0);
  e.notify();
  CHECK(run() == 1);
  CHECK(log == "e");
  e.abandon();
}

TEST_CASE_METHOD(on_turns, "a wait for a turn that finds no memory throws, and is over") {
  async_event e(*turns);
  auto wait_a_turn = [&]() -> asio::awaitable<void> {
    try {
      co_await e.wait_a_turn();
    } catch (const std::bad_alloc&) {
      log += '!';
    }
  };
  *refusals = 1;
  spawn(wait_a_turn());
  CHECK(log == "!");
  turns->request();
  CHECK(run() == 1);
  CHECK(log == "!");
}

TEST_CASE_METHOD(on_turns, "events that are notified together go on together, without memory too") {
  async_event a(*turns), b(*turns), other(*turns);
  bool first_waits = GENERATE(true, false), second_waits = GENERATE(true, false);
  CAPTURE(first_waits, second_waits);
  if (first_waits) spawn(note(a, 'a'));
  if (second_waits) spawn(note(b, 'b'));
  spawn(note(other, 'c'));
  *refusals = first_waits || second_waits ? 1 : 0;
  if (*refusals > 0) {
    CHECK_THROWS_AS(async_event::notify_both(a, b), std::bad_alloc);
  } else {
    async_event::notify_both(a, b);
  }
  other.notify();
  CHECK(run() == 1);
  CHECK(log == std::string(first_waits ? "a" : "") + (second_waits ? "b" : "") + "c");
  log.clear();
  async_event::notify_both(a, b);
  run();
  CHECK(log == std::string(first_waits ? "a" : "") + (second_waits ? "b" : ""));
  for (async_event* e : {&a, &b, &other}) e->abandon();
}

TEST_CASE_METHOD(on_turns, "a turn that finds no memory for the next one says so") {
  async_event a(*turns), b(*turns);
  auto fill_turns = [&](async_event& own, async_event& other) -> asio::awaitable<void> {
    for (;;) {
      co_await own.wait();
      other.notify();
      *refusals = 1;
    }
  };
  turns->set_steps([] {}, [] {}, [&] { log += '!'; });
  spawn(fill_turns(a, b));
  spawn(fill_turns(b, a));
  a.notify();
  CHECK(run() == 1);
  CHECK(log == "!");
  a.abandon();
  b.abandon();
}

TEST_CASE_METHOD(on_turns, "coroutines that are to go on are destroyed with the turns") {
  auto gone = std::make_shared<int>();
  std::weak_ptr<int> watched = gone;
  auto event = std::make_shared<async_event>(*turns);
  auto wait = [](std::shared_ptr<async_event> own, std::shared_ptr<int>) -> asio::awaitable<void> {
    co_await own->wait();
  };
  spawn(wait(event, std::move(gone)));
  event->notify();
  event = nullptr;  // The coroutine owns it, and it owns the coroutine.
  turns->abandon();
  run();
  CHECK(watched.expired());
}

TEST_CASE_METHOD(on_turns, "an event that is abandoned, or goes, does not go on") {
  auto event = std::make_unique<async_event>(*turns);
  async_event other(*turns);
  spawn(note(*event, 'a'));
  spawn(note(other, 'b'));
  event->notify();
  other.notify();
  event->abandon();
  SECTION("abandoned") {}
  SECTION("gone") { event.reset(); }
  run();
  CHECK(log == "b");
  other.abandon();
}

TEST_CASE_METHOD(on_turns, "an event that was to go on may outlive the turns") {
  auto event = std::make_unique<async_event>(*turns);
  spawn(note(*event, 'a'));
  *refusals = 1;
  CHECK_THROWS_AS(event->notify(), std::bad_alloc);
  turns.reset();
  event->abandon();
  CHECK(log.empty());
}
