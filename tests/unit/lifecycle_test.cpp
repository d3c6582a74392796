#include "support/catch.hpp"

#include <ilm/runtime/lifecycle.hpp>

#include <system_error>

using ilm::error;
using ilm::runtime::lifecycle;
using namespace std::chrono_literals;

namespace {

using state = lifecycle::state;
using step = lifecycle::step;

const std::error_code aborted = std::make_error_code(std::errc::operation_canceled);
const std::error_code full = std::make_error_code(std::errc::no_space_on_device);

lifecycle::activity nothing() {
  lifecycle::activity a;
  a.drained = true;
  return a;
}

lifecycle opened() {
  lifecycle l;
  l.handle_opened();
  return l;
}

/// Shuts it down while a call of the application goes on; gives what goes on then.
lifecycle::activity lingering(lifecycle& l) {
  lifecycle::activity calling = nothing();
  calling.delivering = true;
  l.handle_shutdown(0s);
  CHECK(l.next(calling, 0s) == step::stop_deliveries);
  CHECK(l.next(calling, 1s) == step::store_last);
  l.handle_last_commit();
  CHECK(l.next(calling, 1s) == step::say_bye);
  CHECK(l.next(calling, 1s) == step::report);
  CHECK(l.current() == state::lingering);
  return calling;
}

}  // namespace

TEST_CASE("a lifecycle accepts sends from the beginning, and commits once the store is open") {
  lifecycle l;
  CHECK(l.current() == state::opening);
  CHECK(l.accepts_sends());
  CHECK_FALSE(l.commits());
  CHECK(l.next(nothing(), 0s) == step::wait);
  l.handle_opened();
  CHECK(l.current() == state::running);
  CHECK(l.accepts_sends());
  CHECK(l.commits());
  CHECK(l.delivers());
  CHECK_FALSE(l.shutting_down());
  CHECK(l.deadline() == ilm::protocol::never);
}

TEST_CASE("a lifecycle reports an error of opening once, and forgets it when the store opens") {
  lifecycle l;
  CHECK(l.handle_open_failed(full));
  CHECK_FALSE(l.handle_open_failed(full));
  CHECK(l.handle_open_failed(aborted));
  CHECK(l.open_error() == aborted);
  CHECK(l.accepts_sends());
  l.handle_opened();
  CHECK_FALSE(l.open_error());
}

TEST_CASE("a shutdown takes its steps in order, each when the one before has ended") {
  lifecycle l = opened();
  l.handle_shutdown(10s);
  CHECK_FALSE(l.accepts_sends());
  CHECK(l.refusal() == error::shut_down);
  CHECK(l.deadline() == 10s);

  lifecycle::activity busy;
  busy.committing = busy.delivering = busy.writing = true;
  CHECK(l.next(busy, 1s) == step::wait);
  CHECK(l.current() == state::draining);

  busy.drained = true;
  CHECK(l.next(busy, 1s) == step::wait);
  CHECK(l.current() == state::stopping_commits);
  CHECK_FALSE(l.commits());
  CHECK_FALSE(l.delivers());
  CHECK(l.deadline() == ilm::protocol::never);

  busy.committing = false;
  CHECK(l.next(busy, 1s) == step::stop_deliveries);
  CHECK(l.deadline() == 1s + ilm::runtime::delivery_grace);
  CHECK(l.next(busy, 1s) == step::wait);

  busy.delivering = false;
  CHECK(l.next(busy, 1s) == step::store_last);
  CHECK(l.next(busy, 100s) == step::wait);
  l.handle_last_commit();

  CHECK(l.next(busy, 2s) == step::say_bye);
  CHECK(l.deadline() == 2s + ilm::runtime::bye_grace);
  CHECK(l.next(busy, 2s) == step::wait);
  busy.writing = false;
  CHECK(l.next(busy, 2s) == step::close_store);
  CHECK(l.next(busy, 100s) == step::wait);
  CHECK_FALSE(l.ended());

  l.handle_closed({});
  CHECK(l.ended());
  CHECK_FALSE(l.shutdown_error());
  CHECK(l.refusal() == error::shut_down);
  CHECK(l.next(busy, 100s) == step::leave);
}

TEST_CASE("a shutdown waits for peers until its deadline, and a moment for slow ones") {
  lifecycle l = opened();
  l.handle_shutdown(10s);
  lifecycle::activity stuck;
  stuck.delivering = stuck.writing = true;
  CHECK(l.next(stuck, 10s - 1ns) == step::wait);
  CHECK(l.next(stuck, 10s) == step::stop_deliveries);
  CHECK(l.next(stuck, l.deadline() - 1ns) == step::wait);
  CHECK(l.next(stuck, l.deadline()) == step::store_last);
  l.handle_last_commit();
  CHECK(l.next(stuck, 20s) == step::say_bye);
  CHECK(l.next(stuck, l.deadline() - 1ns) == step::wait);
  stuck.delivering = false;
  CHECK(l.next(stuck, l.deadline()) == step::close_store);
}

TEST_CASE("a shutdown reports while a call goes on, and keeps the store for it") {
  lifecycle l = opened();
  lifecycle::activity stuck = lingering(l);
  CHECK(l.lingers());
  CHECK(l.retired());
  CHECK_FALSE(l.ended());
  CHECK(l.shutting_down());
  CHECK_FALSE(l.delivers());
  CHECK_FALSE(l.reads());
  CHECK_FALSE(l.accepts_sends());
  CHECK(l.refusal() == error::shut_down);
  CHECK(l.commits());
  CHECK(l.begins_commits(100h));
  CHECK(l.deadline() == ilm::protocol::never);
  CHECK(l.next(stuck, 100h) == step::wait);

  stuck.delivering = false;
  stuck.committing = true;
  CHECK(l.next(stuck, 100h) == step::wait);
  stuck.committing = false;
  CHECK(l.next(stuck, 100h) == step::store_last);
  CHECK_FALSE(l.commits());
  l.handle_last_commit();
  CHECK(l.lingers());
  CHECK(l.next(stuck, 100h) == step::close_store);
  l.handle_closed({});
  CHECK(l.ended());
  CHECK(l.retired());
  CHECK_FALSE(l.lingers());
}

TEST_CASE("a shutdown asked for again while a call goes on reports again at its deadline") {
  lifecycle l = opened();
  lifecycle::activity stuck = lingering(l);
  l.handle_shutdown(60s);
  l.handle_shutdown(50s);
  CHECK(l.deadline() == 50s);
  CHECK(l.begins_commits(55s));
  CHECK(l.next(stuck, 50s - 1ns) == step::wait);
  CHECK(l.next(stuck, 50s) == step::report);
  CHECK(l.deadline() == ilm::protocol::never);
  CHECK(l.next(stuck, 51s) == step::wait);
  l.handle_shutdown(60s);
  stuck.delivering = false;
  CHECK(l.next(stuck, 60s) == step::store_last);
  CHECK(l.deadline() == ilm::protocol::never);
}

TEST_CASE("a call that ends behind the last batch of a shutdown has a batch of its own") {
  lifecycle::activity calling = nothing();
  calling.delivering = true;
  for (int when = 0; when < 4; ++when) {
    lifecycle l = opened();
    l.handle_shutdown(0s);
    CHECK(l.next(calling, 0s) == step::stop_deliveries);
    if (when == 0) l.handle_consumed();
    CHECK(l.next(calling, 1s) == step::store_last);
    if (when == 1) l.handle_consumed();
    l.handle_last_commit();
    if (when == 2) l.handle_consumed();
    CHECK(l.next(calling, 1s) == step::say_bye);
    if (when == 3) l.handle_consumed();
    if (when > 0) {
      CHECK(l.next(nothing(), 1s) == step::store_last);
      CHECK(l.next(nothing(), 1s) == step::wait);
      l.handle_last_commit();
    }
    CHECK(l.next(nothing(), 1s) == step::close_store);
    CHECK_FALSE(l.lingers());
  }
}

TEST_CASE("a messenger that keeps its store for a call ends when it fails") {
  const std::error_code failed = std::make_error_code(std::errc::not_enough_memory);
  lifecycle l = opened();
  lingering(l);
  l.handle_failed(failed);
  CHECK(l.ended());
  CHECK_FALSE(l.lingers());
  CHECK(l.shutdown_error() == failed);
}

TEST_CASE("a second shutdown can bring the deadline forward, and not put it off") {
  lifecycle l = opened();
  l.handle_shutdown(10s);
  l.handle_shutdown(20s);
  CHECK(l.deadline() == 10s);
  l.handle_shutdown(5s);
  CHECK(l.deadline() == 5s);
}

TEST_CASE("a shutdown before the store is open gives up at its deadline") {
  lifecycle l;
  l.handle_shutdown(10s);
  CHECK(l.current() == state::giving_up);
  CHECK(l.opening());
  CHECK_FALSE(l.accepts_sends());
  CHECK(l.next(nothing(), 10s - 1ns) == step::wait);
  CHECK(l.next(nothing(), 10s) == step::finish);
  CHECK(l.ended());
  CHECK(l.shutdown_error() == std::errc::timed_out);
}

TEST_CASE("a shutdown before the store is open ends with the error of the attempt under way") {
  lifecycle l;
  l.handle_shutdown(10s);
  CHECK(l.handle_open_failed(full));
  CHECK(l.next(nothing(), 0s) == step::finish);
  CHECK(l.shutdown_error() == full);
}

TEST_CASE("a shutdown before the store is open drains it if it opens in time") {
  lifecycle l;
  l.handle_shutdown(10s);
  l.handle_opened();
  CHECK(l.current() == state::draining);
  CHECK(l.deadline() == 10s);
}

TEST_CASE("a messenger that is destroyed is at its end in whatever state it was") {
  lifecycle fresh;
  lifecycle running = opened();
  lifecycle draining = opened();
  draining.handle_shutdown(10s);
  for (lifecycle l : {fresh, running, draining}) {
    l.handle_stopped(aborted);
    CHECK(l.ended());
    CHECK(l.refusal() == aborted);
    CHECK(l.deadline() == ilm::protocol::never);
    CHECK(l.next(nothing(), 1h) == step::leave);
  }
}

TEST_CASE("a messenger that is destroyed after its shutdown keeps the reason of the shutdown") {
  lifecycle l;
  l.handle_shutdown(0s);
  CHECK(l.next(nothing(), 0s) == step::finish);
  l.handle_stopped(aborted);
  CHECK(l.refusal() == error::shut_down);
}

TEST_CASE("a shutdown begins no commit after its deadline but the last one") {
  lifecycle l = opened();
  CHECK(l.begins_commits(100s));
  l.handle_shutdown(10s);
  CHECK(l.begins_commits(9s));
  CHECK_FALSE(l.begins_commits(10s));
  lifecycle::activity committing;
  committing.committing = true;
  CHECK(l.next(committing, 10s) == step::wait);
  CHECK(l.current() == state::stopping_commits);
}

TEST_CASE("a messenger that failed tells its error to later sends and to a shutdown") {
  const std::error_code failed = std::make_error_code(std::errc::not_enough_memory);
  lifecycle running = opened();
  lifecycle draining = opened();
  draining.handle_shutdown(10s);
  for (lifecycle l : {lifecycle(), running, draining}) {
    l.handle_failed(failed);
    CHECK(l.ended());
    CHECK(l.refusal() == failed);
    CHECK(l.shutdown_error() == failed);
    CHECK(l.next(nothing(), 1h) == step::leave);
  }
}
