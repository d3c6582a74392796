#include "support/catch.hpp"

#include <ilm/protocol/rtt.hpp>

using namespace ilm::protocol;
using namespace std::chrono_literals;

namespace {

/// The timeout without its jitter: the least of many.
duration timeout_of(const round_trip& r) {
  random_source random(1);
  duration least = never;
  for (int i = 0; i < 2000; ++i) least = std::min(least, r.timeout(random));
  return least;
}

bool near(duration a, duration b) { return a >= b && a <= b + b / 500; }

ilm::options wide() {
  ilm::options o;
  o.initial_timeout = 1s;
  o.minimum_timeout = 1ns;
  o.maximum_timeout = 60s;
  return o;
}

}  // namespace

TEST_CASE("the timeout is the initial one until a round trip is measured") {
  round_trip r(wide());
  CHECK(near(timeout_of(r), 1s));
  CHECK(r.smoothed() == 0s);
}

TEST_CASE("the first measurement sets both averages as RFC 6298, 2.2 says") {
  round_trip r(wide());
  r.sample(100ms);
  CHECK(r.smoothed() == 100ms);
  CHECK(near(timeout_of(r), 300ms));  // SRTT 100, RTTVAR 50
}

TEST_CASE("further measurements are smoothed as RFC 6298, 2.3 says") {
  round_trip r(wide());
  r.sample(100ms);
  r.sample(200ms);  // RTTVAR = 3/4 * 50 + 1/4 * 100 = 62.5; SRTT = 7/8 * 100 + 1/8 * 200 = 112.5
  CHECK(r.smoothed() == 112'500us);
  CHECK(near(timeout_of(r), 362'500us));
  r.sample(100ms);  // RTTVAR = 46.875 + 3.125 = 50; SRTT = 98.4375 + 12.5
  CHECK(r.smoothed() == 110'937'500ns);
  CHECK(near(timeout_of(r), 310'937'500ns));
}

TEST_CASE("a steady round trip brings the timeout down to it") {
  round_trip r(wide());
  for (int i = 0; i < 200; ++i) r.sample(50ms);
  CHECK(r.smoothed() > 49ms);
  CHECK(timeout_of(r) < 52ms);
}

TEST_CASE("the timeout keeps to its bounds") {
  ilm::options o;
  o.minimum_timeout = 20ms;
  o.maximum_timeout = 2s;
  round_trip r(o);
  r.sample(1us);
  CHECK(near(timeout_of(r), 20ms));
  r.sample(1h);
  CHECK(near(timeout_of(r), 2s));
}

TEST_CASE("the timeout doubles with each expiry, to its bound, until a round trip is measured") {
  ilm::options o = wide();
  round_trip r(o);
  r.sample(100ms);
  duration expected = 300ms;
  for (int i = 0; i < 100; ++i) {
    CHECK(near(timeout_of(r), std::min<duration>(expected, o.maximum_timeout)));
    r.back_off();
    if (expected < o.maximum_timeout) expected *= 2;
  }
  r.progress();
  CHECK(near(timeout_of(r), o.maximum_timeout));
  r.sample(100ms);
  CHECK(near(timeout_of(r), 250ms));  // the variance falls to 37.5
}

TEST_CASE("the timeout doubles with each probe, until something moves") {
  ilm::options o = wide();
  round_trip r(o);
  r.sample(100ms);
  duration expected = 300ms;
  for (int i = 0; i < 100; ++i) {
    CHECK(near(timeout_of(r), std::min<duration>(expected, o.maximum_timeout)));
    r.probe();
    if (expected < o.maximum_timeout) expected *= 2;
  }
  r.sample(100ms);
  CHECK(near(timeout_of(r), o.maximum_timeout));
  r.progress();
  CHECK(near(timeout_of(r), 250ms));
}

TEST_CASE("expiries and probes double the timeout together, and a new session ends both") {
  round_trip r(wide());
  r.back_off();
  r.probe();
  CHECK(near(timeout_of(r), 4s));
  for (int i = 0; i < 100; ++i) {
    r.back_off();
    r.probe();
  }
  CHECK(r.invariants_hold());
  CHECK(near(timeout_of(r), 60s));
  r.handle_session();
  CHECK(near(timeout_of(r), 1s));
}

TEST_CASE("reordering is forgiven for a quarter of a round trip, and a millisecond at least") {
  round_trip r(wide());
  CHECK(r.reordering() == 1ms);
  r.sample(100ms);
  CHECK(r.reordering() == 25ms);
  round_trip quick(wide());
  quick.sample(1us);
  CHECK(quick.reordering() == 1ms);
}

TEST_CASE("each needless retransmission lengthens the patience, up to a whole round trip") {
  round_trip r(wide());
  r.sample(100ms);
  for (duration patience : {50ms, 75ms, 100ms, 100ms}) {
    r.spurious_retransmission();
    CHECK(r.reordering() == patience);
  }
}
