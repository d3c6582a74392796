#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <filesystem>
#include <fstream>
#include <string>

TEST_CASE("durable: what cannot work is told in one line") {
  test::temporary_directory place;
  std::ofstream(place / "text.db") << std::string(4096, 'x');
  auto error = [&](const std::string& words, const std::string& reason) {
    std::string script = "cd \"$1\"; shift; " + words;
    CHECK(test::run_by_shell(script, DURABLE_PROGRAM, {place / "."}, place / "out") == 1);
    std::string printed = test::contents_of(place / "out");
    INFO(printed);
    CHECK(test::is_one_line(printed, "durable", reason));
  };
  error("exec \"$0\" text 127.0.0.1:0 bob 127.0.0.1:9", "is no SQLite database");
  error("exec \"$0\" alice 127.0.0.1 bob 127.0.0.1:9", "the port is missing");
  error("exec \"$0\" alice 127.0.0.1:0 bob 127.0.0.1:9 >/dev/full", "cannot be written");
  error("TMPDIR=/missing exec \"$0\"", "set TMPDIR");
  CHECK(test::run(DURABLE_PROGRAM, {"alice"}, place / "out") == 2);
}
