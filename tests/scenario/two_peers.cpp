#include "support/catch.hpp"
#include "support/world.hpp"

using namespace test;

TEST_CASE("two peers send and receive") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  auto to_b = a.send("b", "hello b");
  auto to_a = b.send("a", "hello a");
  REQUIRE(w.until([&] { return a.app().consumed.size() == 1 && b.app().consumed.size() == 1; }));
  CHECK(to_b->done);
  CHECK_FALSE(to_b->error);
  CHECK(to_b->sequence == 1);
  CHECK(a.app().consumed[0].from == "b");
  CHECK(a.app().consumed[0].text() == "hello a");
  CHECK(b.app().consumed[0].from == "a");
  CHECK(b.app().consumed[0].sequence == 1);
  CHECK(b.app().consumed[0].text() == "hello b");
}
