#include "support/catch.hpp"

#include <ilm/networks/tcp/accept_failures.hpp>

using namespace ilm::detail::tcp;
using namespace std::chrono_literals;

TEST_CASE("a series of failures to accept is reported when it begins and when it is over") {
  accept_failures failures;
  clock::time_point now{};
  CHECK_FALSE(failures.poll_end(now));
  CHECK(failures.handle_failure(now));
  for (int i = 0; i < 9; ++i) {
    now += 1s;
    failures.handle_success();
    CHECK_FALSE(failures.handle_failure(now));
  }
  CHECK(failures.over_at() == now + accept_calm);
  now += accept_calm - clock::duration(1);
  CHECK_FALSE(failures.poll_end(now));
  now += clock::duration(1);
  CHECK(failures.poll_end(now) == "connections are accepted again, after 10 failures in 9000 ms");
  CHECK_FALSE(failures.poll_end(now));
  CHECK(failures.handle_failure(now));
}

TEST_CASE("the waits after failures to accept grow up to a bound, and begin anew after a success") {
  accept_failures failures;
  clock::time_point now{};
  clock::duration expected = minimum_accept_pause;
  for (int i = 0; i < 20; ++i) {
    failures.handle_failure(now);
    CHECK(failures.pause() == expected);
    expected = std::min<clock::duration>(2 * expected, maximum_accept_pause);
  }
  CHECK(expected == maximum_accept_pause);
  failures.handle_success();
  failures.handle_failure(now);
  CHECK(failures.pause() == minimum_accept_pause);
}
