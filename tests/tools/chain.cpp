#include "program.hpp"
#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <string>
#include <vector>

namespace {

using test::contents_of;

}  // namespace

TEST_CASE("chain: each input has one output, with a handler and with an inbox, on both levels") {
  test::temporary_directory place;
  for (const char* kind : {"--handler", "--inbox"}) {
    for (const char* level : {"--os", "--media"}) {
      std::vector<std::string> words{kind, level, "--kills", "6", "--inputs", "120"};
      CAPTURE(kind, level);
      CHECK(test::run(CHAIN_PROGRAM, words, place / "out") == 0);
      std::string printed = contents_of(place / "out");
      INFO(printed);
      CHECK_THAT(printed, test::ContainsSubstring("kills      6: relay 4, source 1, sink 1\n"));
      CHECK_THAT(printed, test::ContainsSubstring("outputs    120\n"));
      CHECK_THAT(printed, test::ContainsSubstring("missing    0\nrepeated   0\n"));
    }
  }
}

TEST_CASE("chain: a relay that sends in a commit of its own repeats outputs") {
  test::temporary_directory place;
  std::vector<std::string> words{"--two-commits", "--kills", "60", "--keep", place / "stores"};
  CHECK(test::run(CHAIN_PROGRAM, words, place / "out") == 1);
  std::string printed = contents_of(place / "out");
  INFO(printed);
  CHECK_THAT(printed, test::ContainsSubstring("missing    0\nrepeated   "));
  CHECK_THAT(printed, !test::ContainsSubstring("repeated   0\n"));
}

TEST_CASE("chain: a mistyped argument is reported") {
  test::temporary_directory place;
  CHECK(test::run(CHAIN_PROGRAM, {"--kils", "2"}, place / "out") == 2);
  CHECK_THAT(contents_of(place / "out"), test::ContainsSubstring("usage: chain"));
  CHECK(test::run(CHAIN_PROGRAM, {"--kills", "two"}, place / "out") == 2);
}

TEST_CASE("chain: a directory that cannot be made, or where nothing can be stored, is told") {
  test::temporary_directory place;
  auto error = [&](std::vector<std::string> words, const std::string& script) {
    CHECK(test::run_by_shell(script, CHAIN_PROGRAM, std::move(words), place / "out") != 0);
    return contents_of(place / "out");
  };
  const std::string plain = "exec \"$0\" \"$@\"";
  std::string missing = error({"--keep", place / "missing" / "new"}, plain);
  CHECK_THAT(missing, test::ContainsSubstring("No such file or directory\nusage:"));
  CHECK_THAT(error({"--keep", place / "."}, plain), test::ContainsSubstring("is there already"));
  CHECK(test::is_one_line(error({}, "TMPDIR=/missing " + plain), "chain", "set TMPDIR"));
}
