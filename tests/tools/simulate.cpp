#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <filesystem>
#include <string>

TEST_CASE("simulate: a mistyped argument is reported") {
  test::temporary_directory place;
  CHECK(test::run(SIMULATE_PROGRAM, {"--naiv"}, place / "out") == 2);
  CHECK_THAT(test::contents_of(place / "out"), test::ContainsSubstring("usage: simulate"));
}
