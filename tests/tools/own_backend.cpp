#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <filesystem>
#include <string>

TEST_CASE("own_backend: a place where nothing can be stored is told in one line") {
  test::temporary_directory place;
  std::string script = "TMPDIR=/missing exec \"$0\"";
  CHECK(test::run_by_shell(script, OWN_BACKEND_PROGRAM, {}, place / "out") == 1);
  CHECK(test::is_one_line(test::contents_of(place / "out"), "own_backend", "set TMPDIR"));
}
