#include "support/catch.hpp"

#include <ilm/runtime/deadlines.hpp>

#include <array>
#include <chrono>
#include <cstdint>

namespace {

using namespace std::chrono_literals;

struct sleeper {
  ilm::protocol::timestamp armed = ilm::protocol::never;
  std::uint64_t armed_as = 0;
};

/// With entries of its own.
struct rester {
  ilm::protocol::timestamp rests_until = ilm::protocol::never;
  std::uint64_t rests_as = 0;
};

}  // namespace

TEST_CASE("peers that are due at one time come in the order in which they were armed") {
  std::array<sleeper, 3> all;
  ilm::runtime::deadlines<sleeper> d;
  d.arm(all[2], 1s);
  d.arm(all[0], 1s);
  d.arm(all[1], 1s);
  CHECK(d.take_due(1s) == &all[2]);
  CHECK(d.take_due(1s) == &all[0]);
  CHECK(d.take_due(1s) == &all[1]);
  CHECK(d.take_due(1s) == nullptr);
}

TEST_CASE("a deadline only moves to an earlier time, and is due once") {
  sleeper a;
  ilm::runtime::deadlines<sleeper> d;
  CHECK(d.earliest() == ilm::protocol::never);
  d.arm(a, 2s);
  d.arm(a, 3s);
  CHECK(d.earliest() == 2s);
  d.arm(a, 1s);
  CHECK(d.earliest() == 1s);
  CHECK(d.take_due(999ms) == nullptr);
  CHECK(d.take_due(1s) == &a);
  CHECK(d.take_due(5s) == nullptr);
  CHECK(a.armed == ilm::protocol::never);
}

TEST_CASE("a peer that is disarmed is not called, and can be armed again") {
  std::array<sleeper, 2> all;
  ilm::runtime::deadlines<sleeper> d;
  d.disarm(all[0]);
  d.arm(all[0], 1s);
  d.arm(all[1], 2s);
  d.disarm(all[0]);
  CHECK(d.earliest() == 2s);
  CHECK(d.take_due(3s) == &all[1]);
  CHECK(d.take_due(3s) == nullptr);
  d.arm(all[0], 4s);
  CHECK(d.take_due(4s) == &all[0]);
}

TEST_CASE("resting peers come when it is their time, and those of one time in their order") {
  rester a, b, c;
  ilm::runtime::deadlines<rester, &rester::rests_until, &rester::rests_as> resting;
  CHECK(resting.earliest() == ilm::protocol::never);
  resting.arm(a, 2s);
  resting.arm(b, 1s);
  resting.arm(c, 2s);
  CHECK(resting.earliest() == 1s);
  CHECK(resting.take_due(999ms) == nullptr);
  CHECK(resting.take_due(5s) == &b);
  CHECK(resting.take_due(5s) == &a);
  CHECK(a.rests_until == ilm::protocol::never);
  resting.disarm(a);
  resting.disarm(c);
  CHECK(resting.take_due(5s) == nullptr);
}
