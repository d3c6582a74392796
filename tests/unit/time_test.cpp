#include "support/catch.hpp"

#include <ilm/protocol/time.hpp>

using namespace ilm::protocol;
using namespace std::chrono_literals;

TEST_CASE("a time after another saturates at never") {
  CHECK(after(1s, 2s) == 3s);
  CHECK(after(never - 1ns, 1ns) == never);
  CHECK(after(never - 1ns, 2ns) == never);
  CHECK(after(never, 1h) == never);
  CHECK(after(0s, never) == never);
}

TEST_CASE("a time that doubles stops at the longest that there is") {
  constexpr duration longest = duration::max();
  CHECK(doubled(1ns) == 2ns);
  CHECK(doubled(longest / 2) == longest - 1ns);
  CHECK(doubled(longest / 2 + 1ns) == longest);
  CHECK(doubled(longest) == longest);
}
