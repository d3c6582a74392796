#include "support/catch.hpp"

#include <ilm/protocol/random.hpp>
#include <ilm/runtime/system_entropy.hpp>

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

TEST_CASE("a messenger's random numbers are those of its seed, and differ without one") {
  ilm::runtime::system_entropy seeded(7), other(std::nullopt), another(std::nullopt);
  random_source expected(7);
  bool differs = false;
  for (int i = 0; i < 10; ++i) {
    CHECK(seeded.next() == expected.next());
    differs = differs || other.next() != another.next();
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

namespace {

struct fixed_entropy final : entropy {
  explicit fixed_entropy(std::uint64_t v) : value(v) {}
  std::uint64_t next() override { return value; }

  std::uint64_t value;
};

}  // namespace

TEST_CASE("a random number that names something is never 0") {
  fixed_entropy zero(0), other(7), largest(~std::uint64_t{0});
  CHECK(next_nonzero(zero) == 1);
  CHECK(next_nonzero(other) == 7);
  CHECK(next_nonzero(largest) == ~std::uint64_t{0});
  // SplitMix64 adds this to its state first, and makes 0 of 0.
  constexpr std::uint64_t before_zero = ~std::uint64_t{0x9e3779b97f4a7c15} + 1;
  CHECK(random_source(before_zero).next() == 0);
  CHECK(random_source(before_zero).next_nonzero() == 1);
  CHECK(random_source(7).next_nonzero() == random_source(7).next());
}

TEST_CASE("the entropy of a test is that of its seed") {
  seeded_entropy numbers(7);
  random_source same(7);
  for (int i = 0; i < 100; ++i) CHECK(numbers.next() == same.next());
}
