#include "costs/steps.hpp"
#include "support/catch.hpp"
#include "support/core_pair.hpp"

#include <cstddef>

using namespace test;

namespace {

/// The steps that a message takes, from its send to the record that it was consumed, where a window
/// of that many is in flight and one frame in a hundred is lost.
double steps_of_a_message(std::size_t window) {
  options o;
  o.window_messages = o.credit_messages = window;
  o.frame_fill = 1;  // a frame each
  core_pair p(o);
  p.faults.loss = 1;
  p.faults.delay = 20ms;
  p.connect();
  std::size_t count = 3 * window;
  double took = steps_of([&] {
    for (std::size_t i = 0; i < count; ++i) p.a.send("x");
    REQUIRE(p.until([&] { return p.a.disk.where.outbox.first > count; }));
  });
  return took / static_cast<double>(count);
}

}  // namespace

TEST_CASE("under loss, a message costs about the same in a window of 512 and of 32,768") {
  double narrow = steps_of_a_message(512);
  double wide = steps_of_a_message(32'768);
  CAPTURE(narrow, wide);
  CHECK(wide < 2 * narrow);
}
