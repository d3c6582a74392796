#include "support/catch.hpp"

#include <ilm/runtime/commit_backoff.hpp>

using ilm::options;
using ilm::runtime::commit_backoff;
using namespace std::chrono_literals;

TEST_CASE("a backoff is open until something fails") {
  commit_backoff t;
  CHECK(t.open(0s));
  CHECK(t.until() == ilm::protocol::never);
  CHECK_FALSE(t.handle_committed());
  CHECK_FALSE(t.handle_time(1h));
}

TEST_CASE("a backoff waits twice as long after each failure, within its bounds") {
  options o;
  commit_backoff t;
  ilm::protocol::timestamp now = 0s;
  auto expected = o.minimum_store_retry;
  for (int i = 0; i < 20; ++i) {
    CHECK(t.handle_failed(now, o) == (i == 0));
    CHECK(t.until() == now + expected);
    CHECK_FALSE(t.open(t.until() - 1ns));
    CHECK_FALSE(t.handle_time(t.until() - 1ns));
    CHECK(t.open(t.until()));
    now = t.until();
    CHECK(t.handle_time(now));
    expected = std::min(expected * 2, o.maximum_store_retry);
  }
  CHECK(t.handle_committed());
  CHECK_FALSE(t.handle_committed());
  CHECK(t.handle_failed(now, o));
  CHECK(t.until() == now + o.minimum_store_retry);
}

TEST_CASE("a new send opens a backoff at once and its failure still counts as a further one") {
  options o;
  commit_backoff t;
  t.handle_failed(0s, o);
  t.handle_send();
  CHECK(t.open(0s));
  CHECK_FALSE(t.handle_failed(0s, o));
  CHECK(t.until() == 2 * o.minimum_store_retry);
}
