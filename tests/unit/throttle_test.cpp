#include "support/catch.hpp"

#include <ilm/runtime/throttle.hpp>

using ilm::options;
using ilm::runtime::throttle;
using namespace std::chrono_literals;

TEST_CASE("a throttle is open until something fails") {
  throttle t;
  CHECK(t.open(0s));
  CHECK(t.until() == ilm::protocol::never);
  CHECK_FALSE(t.succeed());
  CHECK_FALSE(t.expire(1h));
}

TEST_CASE("a throttle waits twice as long after each failure, within its bounds") {
  options o;
  throttle t;
  ilm::protocol::timestamp now = 0s;
  auto expected = o.minimum_store_retry;
  for (int i = 0; i < 20; ++i) {
    CHECK(t.fail(now, o) == (i == 0));
    CHECK(t.until() == now + expected);
    CHECK_FALSE(t.open(t.until() - 1ns));
    CHECK_FALSE(t.expire(t.until() - 1ns));
    CHECK(t.open(t.until()));
    now = t.until();
    CHECK(t.expire(now));
    expected = std::min(expected * 2, o.maximum_store_retry);
  }
  CHECK(t.succeed());
  CHECK_FALSE(t.succeed());
  CHECK(t.fail(now, o));
  CHECK(t.until() == now + o.minimum_store_retry);
}

TEST_CASE("a new send opens a throttle at once and its failure still counts as a further one") {
  options o;
  throttle t;
  t.fail(0s, o);
  t.release();
  CHECK(t.open(0s));
  CHECK_FALSE(t.fail(0s, o));
  CHECK(t.until() == 2 * o.minimum_store_retry);
}
