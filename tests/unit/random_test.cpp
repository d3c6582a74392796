#include "support/catch.hpp"

#include <ilm/protocol/random.hpp>

#include <algorithm>
#include <set>

using namespace ilm::protocol;
using namespace std::chrono_literals;

TEST_CASE("random numbers are those of SplitMix64") {
  random_source random(1234567);
  CHECK(random.next() == 6457827717110365317U);
  CHECK(random.next() == 3203168211198807973U);
  CHECK(random.next() == 9817491932198370423U);
}

TEST_CASE("one seed gives one sequence of random numbers") {
  random_source a(7), b(7), c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    std::uint64_t x = a.next();
    CHECK(x == b.next());
    differs = differs || x != c.next();
  }
  CHECK(differs);
}

TEST_CASE("a bounded random number reaches each value and no other") {
  random_source random(1);
  std::set<std::uint64_t> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(random.below(7));
  CHECK(seen.size() == 7);
  CHECK(*seen.rbegin() == 6);
  CHECK(random.below(0) == 0);
  CHECK(random.below(1) == 0);
}

TEST_CASE("jitter adds up to a quarter") {
  random_source random(1);
  duration least = 1h, most = 0h;
  for (int i = 0; i < 1000; ++i) {
    duration d = random.jitter(100ms);
    least = std::min(least, d);
    most = std::max(most, d);
  }
  CHECK(least >= 100ms);
  CHECK(least < 101ms);
  CHECK(most <= 125ms);
  CHECK(most > 124ms);
  CHECK(random.jitter(0ns) == 0ns);
}

TEST_CASE("created incarnations exist and differ") {
  random_source random(0);
  std::set<ilm::incarnation> all;
  for (int i = 0; i < 1000; ++i) {
    ilm::incarnation created = random.create_incarnation();
    CHECK(created);
    all.insert(created);
  }
  CHECK(all.size() == 1000);
}
