#include "support/catch.hpp"

#include <ilm/networks/tcp/redial_delay.hpp>

#include <chrono>
#include <random>

using namespace ilm::detail::tcp;
using namespace std::chrono_literals;

namespace {

struct scene {
  /// Whether the next wait is between half of `delay` and all of it.
  bool grows_to(ilm::tcp_options::duration delay) {
    ilm::tcp_options::duration wait = tested.grow(random);
    return delay / 2 <= wait && wait <= delay;
  }

  redial_delay tested{50ms, 350ms};
  std::minstd_rand random{1};
};

}  // namespace

TEST_CASE("the wait before dialing again doubles up to its maximum") {
  scene s;
  for (auto delay : {50ms, 100ms, 200ms, 350ms, 350ms}) CHECK(s.grows_to(delay));
}

TEST_CASE("the wait before dialing again returns to its minimum after a session that lasted") {
  scene s;
  for (int failures = 0; failures < 4; ++failures) s.tested.grow(s.random);
  s.tested.handle_session_ended(350ms);
  CHECK(s.grows_to(50ms));
  CHECK(s.grows_to(100ms));
  s.tested.reset();
  CHECK(s.grows_to(50ms));
}

TEST_CASE("a session that ends as soon as it began does not shorten the wait") {
  scene s;
  for (auto delay : {50ms, 100ms}) CHECK(s.grows_to(delay));
  s.tested.handle_session_ended(99ms);
  CHECK(s.grows_to(200ms));
}

TEST_CASE("the wait before dialing again may be as long as a duration can be") {
  scene s;
  constexpr auto longest = ilm::tcp_options::duration::max();
  s.tested = redial_delay(longest - 1ns, longest);
  CHECK(s.grows_to(longest));
  CHECK(s.grows_to(longest));
}
