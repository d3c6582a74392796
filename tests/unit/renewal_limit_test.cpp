#include "support/catch.hpp"

#include <ilm/protocol/renewal_limit.hpp>

#include <vector>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

/// How many are admitted from `now` until `end`, where one is tried each millisecond.
int admitted(renewal_limit& l, timestamp& now, timestamp end) {
  int count = 0;
  for (; now < end; now += 1ms) count += l.admit(now) ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("some renewals are admitted at once, and each further one after twice the wait") {
  renewal_limit l;
  for (int i = 0; i < renewals_at_once; ++i) CHECK(l.admit(5s));
  timestamp now = 5s;
  for (duration wait : std::vector<duration>{1s, 2s, 4s, 8s, 16s, 32s, 64s, 64s, 64s}) {
    CHECK_FALSE(l.admit(now + wait - 1ns));
    now += wait;
    CHECK(l.admit(now));
  }
}

TEST_CASE("a thousand renewals a second cost one a minute in the end") {
  renewal_limit l;
  timestamp now{};
  CHECK(admitted(l, now, 1s) == renewals_at_once);
  admitted(l, now, 200s);
  CHECK(admitted(l, now, 1000s) <= 13);
}

TEST_CASE("quiet gives renewals back one at a time, and the shortest wait with them") {
  renewal_limit l;
  timestamp now{};
  admitted(l, now, 100s);
  // The last wait is over by then, and three times ten seconds.
  now = 100s + 64s + 30s;
  int at_once = 0;
  while (l.admit(now)) ++at_once;
  CHECK(at_once >= 3);
  CHECK(at_once <= 10);
  CHECK_FALSE(l.admit(now + 1s - 1ns));
  CHECK(l.admit(now + 1s));
  now += 600s;
  at_once = 0;
  while (l.admit(now)) ++at_once;
  CHECK(at_once == renewals_at_once);
}

TEST_CASE("renewals that are as rare as faults are never waited for") {
  renewal_limit l;
  for (int i = 0; i < 1000; ++i) CHECK(l.admit(i * 10s));
}

TEST_CASE("a limit is as a new one when all that it admitted is given back") {
  renewal_limit l;
  CHECK(l.forgotten_at() <= timestamp(0));
  for (int i = 0; i < 3; ++i) REQUIRE(l.admit(5s));
  CHECK(l.forgotten_at() == 35s);
  timestamp now = l.forgotten_at();
  for (int i = 0; i < renewals_at_once; ++i) CHECK(l.admit(now));
  CHECK_FALSE(l.admit(now));
  CHECK(l.forgotten_at() == now + 1s + renewals_at_once * renewal_returns_after);
}
