#include "support/catch.hpp"

#include <ilm/networks/tcp/lookup_schedule.hpp>

#include <string>

using namespace ilm::detail::tcp;

namespace {

constexpr clock::duration patience = std::chrono::seconds(2);

std::string name(const char* kind, std::size_t n) { return kind + std::to_string(n); }

struct scene {
  void request(const char* kind, std::size_t count, bool slow = false) {
    for (std::size_t n = 0; n < count; ++n) schedule.request(name(kind, n), slow);
  }
  std::optional<std::string> poll() { return schedule.poll(now); }
  /// How many look-ups begin now.
  std::size_t start_all() {
    std::size_t started = 0;
    while (poll()) ++started;
    return started;
  }

  lookup_schedule schedule{patience};
  clock::time_point now{std::chrono::hours(1)};
};

}  // namespace

TEST_CASE("names are looked up side by side up to a bound, then in the order of their requests") {
  scene s;
  s.request("a", prompt_lookup_limit + 2);
  CHECK(s.start_all() == prompt_lookup_limit);
  s.schedule.complete("a7");
  CHECK(s.poll() == name("a", prompt_lookup_limit));
  CHECK_FALSE(s.poll());
  s.schedule.complete("a0");
  CHECK(s.poll() == name("a", prompt_lookup_limit + 1));
}

TEST_CASE("names whose last look-up was slow leave room for the others") {
  scene s;
  s.request("slow", 2 * slow_lookup_limit, true);
  CHECK(s.start_all() == slow_lookup_limit);
  s.request("a", prompt_lookup_limit + 1);
  CHECK(s.start_all() == prompt_lookup_limit);
  s.schedule.complete("slow0");
  CHECK(s.start_all() == 1);
}

TEST_CASE("a name whose last look-up was slow waits for names that were not") {
  scene s;
  s.request("slow", 1, true);
  s.request("a", 1);
  CHECK(s.poll() == "a0");
  CHECK(s.poll() == "slow0");
}

TEST_CASE("a name that was not slow waits for no look-up that is late, however many there are") {
  scene s;
  s.request("silent", 10 * prompt_lookup_limit);
  s.request("good", 1);
  for (int i = 0; i < 10; ++i) {
    CHECK(s.start_all() == prompt_lookup_limit);
    s.now += patience - clock::duration(1);
    CHECK(s.start_all() == 0);
    s.now += clock::duration(1);
  }
  CHECK(s.poll() == "good0");
}

TEST_CASE("names that were slow wait while there are as many late look-ups as their bound") {
  scene s;
  s.request("silent", slow_lookup_limit);
  s.request("slow", 2, true);
  CHECK(s.start_all() == slow_lookup_limit + 2);
  s.request("again", 1, true);
  s.now += patience;
  CHECK(s.start_all() == 0);
  for (std::size_t n = 0; n < 2; ++n) s.schedule.complete(name("silent", n));
  CHECK(s.start_all() == 0);
  s.schedule.complete(name("silent", 2));
  CHECK(s.poll() == "again0");
}
