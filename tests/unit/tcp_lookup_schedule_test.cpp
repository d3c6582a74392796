#include "support/catch.hpp"

#include <ilm/networks/tcp/lookup_schedule.hpp>

#include <string>

using namespace ilm::detail::tcp;

namespace {

std::string name(const char* kind, std::size_t n) { return kind + std::to_string(n); }

/// How many look-ups begin now.
std::size_t start_all(lookup_schedule& s) {
  std::size_t started = 0;
  while (s.poll()) ++started;
  return started;
}

}  // namespace

TEST_CASE("names are looked up side by side up to a bound, then in the order of their requests") {
  lookup_schedule s;
  for (std::size_t n = 0; n < prompt_lookup_limit + 2; ++n) s.request(name("a", n), false);
  CHECK(start_all(s) == prompt_lookup_limit);
  s.complete("a7");
  CHECK(s.poll() == name("a", prompt_lookup_limit));
  CHECK_FALSE(s.poll());
  s.complete("a0");
  CHECK(s.poll() == name("a", prompt_lookup_limit + 1));
}

TEST_CASE("names whose last look-up was slow leave room for the others") {
  lookup_schedule s;
  for (std::size_t n = 0; n < 2 * lookup_limit; ++n) s.request(name("slow", n), true);
  CHECK(start_all(s) == slow_lookup_limit);
  s.request("a", false);
  CHECK(s.poll() == "a");
  s.complete("slow0");
  CHECK(start_all(s) == 1);
}

TEST_CASE("a name whose last look-up was slow waits for names that were not") {
  lookup_schedule s;
  s.request("slow", true);
  s.request("a", false);
  CHECK(s.poll() == "a");
  CHECK(s.poll() == "slow");
}

TEST_CASE("look-ups that take too long make room for others, up to the bound of all threads") {
  lookup_schedule s;
  for (std::size_t n = 0; n < 2 * lookup_limit; ++n) s.request(name("a", n), false);
  CHECK(start_all(s) == prompt_lookup_limit);
  for (std::size_t n = 0; n < prompt_lookup_limit; ++n) s.handle_delay(name("a", n));
  CHECK(start_all(s) == lookup_limit - prompt_lookup_limit);
  for (std::size_t n = prompt_lookup_limit; n < lookup_limit; ++n) s.handle_delay(name("a", n));
  CHECK(start_all(s) == 0);
  for (std::size_t n = 0; n < lookup_limit; ++n) s.complete(name("a", n));
  CHECK(start_all(s) == prompt_lookup_limit);
}
