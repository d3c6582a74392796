#include "support/catch.hpp"

#include <ilm/runtime/reading_pause.hpp>

#include <chrono>

using namespace std::chrono_literals;
using ilm::protocol::never;
using ilm::runtime::longest_reading_pause;
using ilm::runtime::reading_pause;

TEST_CASE("the network is read while there is room") {
  reading_pause p;
  CHECK(p.may_read(true, 5s));
  CHECK(p.deadline(5s) == never);
}

TEST_CASE("the network is not read without room, until there is some") {
  reading_pause p;
  CHECK_FALSE(p.may_read(false, 5s));
  CHECK(p.deadline(5s) == 5s + longest_reading_pause);
  CHECK_FALSE(p.may_read(false, 5s + longest_reading_pause - 1ns));
  CHECK(p.may_read(true, 5s + longest_reading_pause / 2));
  CHECK(p.deadline(6s) == never);
  // The next pause has its whole time again.
  CHECK_FALSE(p.may_read(false, 7s));
  CHECK(p.deadline(7s) == 7s + longest_reading_pause);
}

TEST_CASE("a pause ends in time, and no other begins before there was room") {
  reading_pause p;
  CHECK_FALSE(p.may_read(false, 5s));
  CHECK(p.may_read(false, 5s + longest_reading_pause));
  CHECK(p.deadline(5s + longest_reading_pause) == never);
  CHECK(p.may_read(false, 1h));
  CHECK(p.may_read(true, 2h));
  CHECK_FALSE(p.may_read(false, 3h));
}
