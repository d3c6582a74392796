#include "support/catch.hpp"

#include <ilm/networks/memory/session_table.hpp>

using ilm::detail::session_table;

TEST_CASE("no two sessions of a fabric have one number, not even of the same pair") {
  session_table table;
  REQUIRE(table.open(1, 2));
  REQUIRE(table.open(1, 3));
  std::uint64_t first = table.find(1, 2), other = table.find(1, 3);
  CHECK(first != 0);
  CHECK(other != first);
  CHECK(table.find(2, 1) == first);
  REQUIRE(table.close(2, 1));
  CHECK(table.find(1, 2) == 0);
  REQUIRE(table.open(2, 1));
  CHECK(table.find(1, 2) != first);
  CHECK(table.find(1, 2) != other);
}
