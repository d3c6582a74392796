#include "support/catch.hpp"

#include <ilm/runtime/commit_scheduler.hpp>

using ilm::options;
using ilm::runtime::coalescing_turns;
using ilm::runtime::commit_scheduler;
using ilm::runtime::commits_before_flush;
using namespace std::chrono_literals;

namespace {

using step = commit_scheduler::step;

void commit(commit_scheduler& s) {
  REQUIRE(s.next(true, 0s) == step::commit);
  s.handle_commit_started();
  CHECK(s.committing());
  s.handle_committed();
  CHECK_FALSE(s.committing());
}

}  // namespace

TEST_CASE("a scheduler commits what is due at once, and otherwise waits") {
  options o;
  commit_scheduler s(o);
  CHECK(s.next(false, 0s) == step::wait);
  CHECK(s.next(true, 0s) == step::commit);
  CHECK_FALSE(s.has_unflushed());
}

TEST_CASE("frames wait a few turns for more messages to share them, then go") {
  options o;
  commit_scheduler s(o);
  commit(s);
  CHECK(s.has_unflushed());
  for (unsigned i = 0; i < coalescing_turns; ++i) CHECK(s.next(false, 0s) == step::gather);
  CHECK(s.next(false, 0s) == step::flush);
  s.handle_flushed();
  CHECK_FALSE(s.has_unflushed());
  CHECK(s.next(false, 0s) == step::wait);
}

TEST_CASE("a change that becomes due while frames wait is committed first, and they wait anew") {
  options o;
  commit_scheduler s(o);
  commit(s);
  CHECK(s.next(false, 0s) == step::gather);
  commit(s);
  for (unsigned i = 0; i < coalescing_turns; ++i) CHECK(s.next(false, 0s) == step::gather);
  CHECK(s.next(false, 0s) == step::flush);
}

TEST_CASE("frames go at once when one is full, or after many commits in a row") {
  options o;
  commit_scheduler s(o);
  CHECK_FALSE(s.flush_due(o.frame_fill));
  for (unsigned i = 1; i < commits_before_flush; ++i) {
    commit(s);
    CHECK_FALSE(s.flush_due(o.frame_fill - 1));
    CHECK(s.flush_due(o.frame_fill));
  }
  commit(s);
  CHECK(s.flush_due(0));
}

TEST_CASE("after a commit that failed the next one waits, and a new send does not let it wait") {
  options o;
  commit_scheduler s(o);
  s.handle_commit_started();
  s.handle_commit_failed();
  CHECK(s.handle_store_failed(0s));
  CHECK(s.deadline() == o.minimum_store_retry);
  CHECK(s.next(true, 1ns) == step::gather);
  CHECK_FALSE(s.handle_time(s.deadline() - 1ns));
  CHECK(s.handle_time(s.deadline()));
  CHECK(s.next(true, o.minimum_store_retry) == step::commit);

  s.handle_commit_started();
  s.handle_commit_failed();
  CHECK_FALSE(s.handle_store_failed(1s));
  CHECK(s.next(true, 1s) == step::gather);
  s.handle_news();
  CHECK(s.next(true, 1s) == step::commit);

  s.handle_commit_started();
  CHECK(s.handle_committed());
  CHECK(s.deadline() == ilm::protocol::never);
}
