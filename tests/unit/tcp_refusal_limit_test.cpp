#include "support/catch.hpp"

#include <ilm/networks/tcp/refusal_limit.hpp>

using namespace ilm::detail::tcp;

namespace {

struct scene {
  bool allow_after(clock::duration wait) {
    now += wait;
    return limit.allow(now);
  }
  unsigned burst() {
    unsigned reported = 0;
    for (int i = 0; i < 100; ++i) reported += allow_after({}) ? 1U : 0U;
    return reported;
  }

  clock::time_point now{};
  refusal_limit limit;
};

constexpr clock::duration tick{1};

}  // namespace

TEST_CASE("a burst of refusals is reported, and then one an interval that doubles") {
  scene s;
  CHECK(s.burst() == refusal_burst);
  clock::duration interval = minimum_refusal_interval;
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(s.allow_after(interval / 2));
    CHECK_FALSE(s.allow_after(interval / 2 - tick));
    CHECK(s.allow_after(tick));
    interval = std::min<clock::duration>(2 * interval, maximum_refusal_interval);
  }
  CHECK(interval == maximum_refusal_interval);
}

TEST_CASE("a day of refusals is some dozens of reports") {
  scene s;
  unsigned reported = 0;
  for (int second = 0; second < 24 * 60 * 60; ++second) {
    reported += s.allow_after(std::chrono::seconds(1)) ? 1U : 0U;
  }
  CHECK(reported < 200);
}

TEST_CASE("refusals that are not reported are counted") {
  scene s;
  CHECK(s.burst() == refusal_burst);
  CHECK(s.limit.take_unreported() == 100 - refusal_burst);
  CHECK(s.limit.take_unreported() == 0);
}

TEST_CASE("a calm, however long, allows one burst of reported refusals") {
  scene s;
  for (clock::duration calm :
       {clock::duration(refusal_calm), clock::duration(std::chrono::hours(1000))}) {
    s.burst();
    s.now += calm;
    CHECK(s.burst() == refusal_burst);
  }
}
