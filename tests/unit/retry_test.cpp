#include "support/catch.hpp"

#include <ilm/protocol/retry.hpp>

using namespace ilm::protocol;
using namespace std::chrono_literals;

TEST_CASE("work is ready from the start, and the retry names no moment") {
  retry r(10ms, 60ms);
  CHECK(r.ready(timestamp::min()));
  CHECK(r.ready(0s));
  CHECK_FALSE(r.outstanding());
  CHECK(r.deadline() == never);
}

TEST_CASE("work that is given out is not ready at any time before its end") {
  retry r(10ms, 60ms);
  r.handle_given();
  CHECK(r.outstanding());
  CHECK_FALSE(r.ready(0s));
  CHECK_FALSE(r.ready(never - 1ns));
  CHECK(r.deadline() == never);
  r.handle_timeout(1h);
  CHECK(r.outstanding());
  r.handle_done();
  CHECK_FALSE(r.outstanding());
  CHECK(r.ready(0s));
}

TEST_CASE("a failure delays the work to the nanosecond") {
  retry r(10ms, 60ms);
  r.handle_given();
  r.handle_failed(1s);
  CHECK_FALSE(r.outstanding());
  CHECK(r.deadline() == 1s + 10ms);
  CHECK_FALSE(r.ready(1s + 10ms - 1ns));
  CHECK(r.ready(1s + 10ms));
}

TEST_CASE("the wait doubles with each failure in a row, from one bound to the other") {
  retry r(10ms, 60ms);
  for (duration wait : {10ms, 20ms, 40ms, 60ms, 60ms}) {
    r.handle_given();
    r.handle_failed(1s);
    CHECK(r.deadline() == 1s + wait);
    CHECK(r.invariants_hold());
  }
}

TEST_CASE("success brings the wait back to its lower bound") {
  retry r(10ms, 60ms);
  for (int i = 0; i < 3; ++i) {
    r.handle_given();
    r.handle_failed(0s);
  }
  r.handle_given();
  r.handle_done();
  CHECK(r.deadline() == never);
  r.handle_given();
  r.handle_failed(0s);
  CHECK(r.deadline() == 10ms);
}

TEST_CASE("a retry whose bounds are equal always waits the same") {
  retry r(10ms, 10ms);
  for (int i = 0; i < 3; ++i) {
    r.handle_given();
    r.handle_failed(0s);
    CHECK(r.deadline() == 10ms);
  }
}

TEST_CASE("a retry names the end of a wait until a timeout has seen it, and stays ready") {
  retry r(10ms, 60ms);
  r.handle_given();
  r.handle_failed(0s);
  r.handle_timeout(10ms - 1ns);
  CHECK(r.deadline() == 10ms);
  CHECK_FALSE(r.ready(10ms - 1ns));
  r.handle_timeout(10ms);
  CHECK(r.deadline() == never);
  CHECK(r.ready(10ms));
  r.handle_given();
  r.handle_failed(1s);  // it was no success
  CHECK(r.deadline() == 1s + 20ms);
}

TEST_CASE("a retry that is postponed waits until then, and fails next as for the first time") {
  retry r(10ms, 60ms);
  for (int i = 0; i < 3; ++i) {
    r.handle_given();
    r.handle_failed(0s);
  }
  r.handle_given();
  r.handle_postponed(5s);
  CHECK_FALSE(r.ready(5s - 1ns));
  CHECK(r.ready(5s));
  CHECK(r.deadline() == 5s);
  r.handle_given();
  r.handle_failed(5s);
  CHECK(r.deadline() == 5s + 10ms);
}

TEST_CASE("a retry goes on from the wait that it is given") {
  retry r(10ms, 60ms);
  r.handle_given();
  r.handle_failed(0s, 20ms);
  CHECK(r.wait() == 40ms);
  CHECK(r.deadline() == 40ms);
}
