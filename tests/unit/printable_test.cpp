#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/event.hpp>
#include <ilm/printable.hpp>

#include <string>

using ilm::printable;

TEST_CASE("text that is printable stays as it is") {
  std::string text =
      "Gr\xc3\xbc\xc3\x9f"
      "e, \"C:\\dir\" \xe2\x82\xac \xf0\x9f\x98\x80 \xe2\x80\x8d";
  CHECK(printable(text) == text);
  CHECK(printable("") == "");
}

TEST_CASE("control characters and line breaks are escaped") {
  CHECK(printable("a\nb\rc\td") == R"(a\nb\rc\td)");
  CHECK(printable(std::string("\0\x1b[2J\x7f", 6)) == R"(\x00\x1b[2J\x7f)");
  CHECK(printable("\xc2\x80\xc2\x9b\xc2\x9f") == R"(\x80\x9b\x9f)");
  CHECK(printable("\xe2\x80\xa8\xe2\x80\xa9") == R"(\u2028\u2029)");
}

TEST_CASE("characters that turn the text around them or cannot be seen are escaped") {
  CHECK(printable("\xe2\x80\xae"
                  "bob") == R"(\u202ebob)");
  CHECK(printable("\xe2\x80\x8b\xe2\x81\xa6\xef\xbb\xbf\xd8\x9c") == R"(\u200b\u2066\ufeff\u061c)");
  CHECK(printable("\xf3\xa0\x80\x81\xf3\xa0\x81\xbf") == R"(\U000e0001\U000e007f)");
}

TEST_CASE("a byte that is no UTF-8 is escaped") {
  CHECK(printable("Gr\xfc\xdf"
                  "e") == R"(Gr\xfc\xdfe)");
  CHECK(printable("\xc3") == R"(\xc3)");
  CHECK(printable("\xe2\x82") == R"(\xe2\x82)");
  CHECK(printable("\xe2\x82x") == R"(\xe2\x82x)");
  CHECK(printable("\xf0\x9f\x98x") == R"(\xf0\x9f\x98x)");
  CHECK(printable("\xc0\xaf") == R"(\xc0\xaf)");                  // longer than need be
  CHECK(printable("\xe0\x80\xaf") == R"(\xe0\x80\xaf)");          // likewise
  CHECK(printable("\xf0\x80\x80\xaf") == R"(\xf0\x80\x80\xaf)");  // likewise
  CHECK(printable("\xed\xa0\x80") == R"(\xed\xa0\x80)");          // half of a UTF-16 pair
  CHECK(printable("\xf4\x90\x80\x80") == R"(\xf4\x90\x80\x80)");  // beyond the last character
  CHECK(printable("\xf5\x80\x80\x80\xff") == R"(\xf5\x80\x80\x80\xff)");
  std::string ends = "\xed\x9f\xbf\xf4\x8f\xbf\xbf\xe0\xa0\x80\xf0\x90\x80\x80";
  CHECK(printable(ends) == ends);
}

TEST_CASE("printable text is printable in the same way again") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  CHECK(printable(printable(all)) == printable(all));
}

TEST_CASE("a prefix cuts neither a character nor an escape") {
  using ilm::detail::printable_prefix;
  CHECK(printable_prefix("ab\n", 4) == R"(ab\n)");
  CHECK(printable_prefix("ab\n", 3) == "ab");
  CHECK(printable_prefix("a\xe2\x82\xac", 4) == "a\xe2\x82\xac");
  CHECK(printable_prefix("a\xe2\x82\xac", 3) == "a");
  CHECK(printable_prefix("abc", 0) == "");
}

TEST_CASE("no two ids look alike") {
  using ilm::printable_id;
  CHECK(printable_id(std::string("a\n")) == R"(a\n)");
  CHECK(printable_id(std::string("a\\n")) == R"(a\\n)");
  CHECK(printable_id(std::string("\xff")) == R"(\xff)");
  CHECK(printable_id(std::string("\\xff")) == R"(\\xff)");
  CHECK(printable_id(-7) == "-7");
}
