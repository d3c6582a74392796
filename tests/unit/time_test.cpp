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
