#include "support/catch.hpp"

#include <ilm/protocol/frame_log.hpp>

using namespace ilm::protocol;
using namespace std::chrono_literals;

TEST_CASE("frames are numbered from 1, again in each session") {
  frame_log log(4);
  CHECK(log.last() == 0);
  CHECK(log.handle_sent(0ms) == 1);
  CHECK(log.handle_sent(0ms) == 2);
  CHECK(log.last() == 2);
  log.handle_echo(1);
  log.handle_session();
  CHECK(log.last() == 0);
  CHECK(log.echoed() == 0);
  CHECK(log.handle_sent(5ms) == 1);
  CHECK(log.handle_echo(1) == timestamp(5ms));
}

TEST_CASE("an echo tells when its frame was sent, once") {
  frame_log log(4);
  for (timestamp at : {1ms, 2ms, 3ms}) log.handle_sent(at);
  CHECK_FALSE(log.handle_echo(0));
  CHECK(log.handle_echo(2) == timestamp(2ms));
  CHECK(log.echoed() == 2);
  CHECK_FALSE(log.handle_echo(2));
  CHECK_FALSE(log.handle_echo(1));
  CHECK(log.echoed() == 2);
  CHECK(log.handle_echo(3) == timestamp(3ms));
  CHECK(log.invariants_hold());
}

TEST_CASE("the oldest of too many frames are forgotten, and their echoes count all the same") {
  frame_log log(3);
  for (int i = 1; i <= 10; ++i) {
    log.handle_sent(std::chrono::milliseconds(i));
    CHECK(log.invariants_hold());
  }
  CHECK_FALSE(log.handle_echo(7));
  CHECK(log.echoed() == 7);
  CHECK(log.handle_echo(8) == timestamp(8ms));
  CHECK(log.handle_echo(10) == timestamp(10ms));
}
