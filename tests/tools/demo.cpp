#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <filesystem>
#include <fstream>
#include <string>

TEST_CASE("demo: a file that cannot be read is told in one line") {
  test::temporary_directory place;
  auto reason = [&](const std::filesystem::path& file) {
    CHECK(test::run(DEMO_PROGRAM, {file.string()}, place / "out") == 1);
    std::string printed = test::contents_of(place / "out");
    CHECK(test::is_one_line(printed, "demo", ""));
    return printed;
  };
  CHECK_THAT(reason(place / "missing"), test::ContainsSubstring("there is no such file"));
  CHECK_THAT(reason(place / "."), test::ContainsSubstring("it is a directory"));
  CHECK_THAT(reason("/dev/zero"), test::ContainsSubstring("it is no regular file"));
  CHECK_THAT(reason(place / std::string(256, 'n')), test::ContainsSubstring("too long"));
}

TEST_CASE("demo: it ends where nobody can read what it prints") {
  test::temporary_directory place;
  std::ofstream(place / "text") << "one line";
  for (const char* script : {"exec \"$0\" \"$@\" >&-", "exec \"$0\" \"$@\" >/dev/full"}) {
    CHECK(test::run_by_shell(script, DEMO_PROGRAM, {place / "text"}, place / "out") == 1);
    CHECK(test::is_one_line(test::contents_of(place / "out"), "demo",
                            "the output cannot be written"));
  }
}
