#include "support/catch.hpp"

#include <ilm/runtime/part.hpp>

#include <memory>

using test_part = ilm::runtime::part<std::shared_ptr<int>>;

TEST_CASE("a part that is released goes with its last use") {
  auto held = std::make_shared<int>();
  test_part p(std::make_unique<std::shared_ptr<int>>(held));
  auto first = std::make_unique<test_part::use>(p), second = std::make_unique<test_part::use>(p);
  p.release();
  first.reset();
  CHECK(held.use_count() == 2);
  second.reset();
  CHECK(held.use_count() == 1);
}

TEST_CASE("a part that nobody uses goes when it is released, and one that is abandoned at once") {
  auto held = std::make_shared<int>();
  test_part unused(std::make_unique<std::shared_ptr<int>>(held));
  { test_part::use over(unused); }
  CHECK(held.use_count() == 2);
  unused.release();
  CHECK(held.use_count() == 1);
  test_part abandoned(std::make_unique<std::shared_ptr<int>>(held));
  test_part::use under_way(abandoned);
  abandoned.abandon();
  CHECK(held.use_count() == 1);
}
