#include "support/catch.hpp"

#include <ilm/networks/tcp/refusal_limit.hpp>

using namespace ilm::detail::tcp;

TEST_CASE("a burst of refusals is reported, and then one an interval") {
  clock::time_point now{};
  refusal_limit limit(now);
  for (unsigned i = 0; i < refusal_burst; ++i) CHECK(limit.allow(now));
  CHECK_FALSE(limit.allow(now));
  now += refusal_interval - clock::duration(1);
  CHECK_FALSE(limit.allow(now));
  now += clock::duration(1);
  CHECK(limit.allow(now));
  CHECK_FALSE(limit.allow(now));
}

TEST_CASE("a pause, however long, allows one burst of reported refusals") {
  clock::time_point now{};
  refusal_limit limit(now);
  for (unsigned i = 0; i < refusal_burst; ++i) limit.allow(now);
  now += std::chrono::hours(1000);
  for (unsigned i = 0; i < refusal_burst; ++i) CHECK(limit.allow(now));
  CHECK_FALSE(limit.allow(now));
}
