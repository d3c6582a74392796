#include "support/catch.hpp"

#include <ilm/runtime/oldest_age.hpp>

using ilm::runtime::oldest_age;
using namespace std::chrono_literals;

TEST_CASE("an empty outbox has no age") {
  oldest_age ages;
  CHECK(ages.at(1h) == 0ns);
  ages.add(3, 10s);
  ages.erase_to(3);
  CHECK(ages.at(1h) == 0ns);
}

TEST_CASE("the age is that of the oldest message left") {
  oldest_age ages;
  ages.add(3, 10s);
  ages.add(5, 20s);
  CHECK(ages.at(30s) == 20s);
  ages.erase_to(2);
  CHECK(ages.at(30s) == 20s);
  ages.erase_to(3);
  CHECK(ages.at(30s) == 10s);
  ages.erase_to(100);
  CHECK(ages.at(30s) == 0s);
}

TEST_CASE("with many batches the age is at worst too high") {
  oldest_age ages;
  constexpr std::uint64_t many = 100'000;
  for (std::uint64_t i = 1; i <= many; ++i) ages.add(i, std::chrono::seconds(i));
  auto now = std::chrono::seconds(many);
  auto last = ages.at(now);
  CHECK(last == std::chrono::seconds(many - 1));
  for (std::uint64_t i = 1; i < many; i += 7) {
    ages.erase_to(i);
    auto age = ages.at(now);
    CHECK(age >= std::chrono::seconds(many - i - 1));
    CHECK(age <= last);
    last = age;
  }
  ages.erase_to(many);
  CHECK(ages.at(now) == 0s);
}
