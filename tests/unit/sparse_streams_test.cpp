#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <string>

using namespace test;

namespace {

/// One side sends a message each 10 seconds, whose answer comes after the initial timeout.
struct sparse_stream {
  explicit sparse_stream(duration delay, duration commit = 0s) {
    p.faults.delay = delay;
    p.b.commit_time = commit;
    p.connect();
    REQUIRE(p.until([&] { return p.established(); }));
  }
  void send(int count) {
    for (; count > 0; --count) {
      p.a.send(std::to_string(++sent));
      p.run_for(10s);
    }
  }

  core_pair p;
  int sent = 0;
};

}  // namespace

TEST_CASE("a sparse stream over a long way measures its round trip, and stops to repeat itself") {
  sparse_stream s(1s);
  s.send(1);
  CHECK(s.p.a->rtt() == 2s);
  s.send(199);
  CHECK(s.p.a->rtt() == 2s);
  CHECK(s.p.a->resent() <= 3);
  CHECK(s.p.b.consumed.size() == 200);
  CHECK(s.p.settled());
}

TEST_CASE("a sparse stream to a slow store measures its commits, and stops to repeat itself") {
  sparse_stream s(1ms, 700ms);
  s.send(100);
  CHECK(s.p.a->rtt() >= 700ms);
  CHECK(s.p.a->rtt() < 710ms);
  CHECK(s.p.a->resent() <= 5);
  CHECK(s.p.settled());
}

TEST_CASE("a sparse stream on a lossy way repeats about what is lost") {
  sparse_stream s(1s);
  s.send(10);
  s.p.faults.loss = 10;
  s.send(200);
  CHECK(s.p.a->rtt() >= 1900ms);
  CHECK(s.p.a->rtt() < 3s);
  CHECK(s.p.a->resent() >= 20);
  CHECK(s.p.a->resent() < 80);
  CHECK(s.p.b.consumed.size() >= 205);
}
