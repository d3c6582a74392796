#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/event.hpp>
#include <ilm/printable.hpp>

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

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
  CHECK(printable("\xc2\x80\xc2\x9b\xc2\x9f") == R"(\u0080\u009b\u009f)");
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

TEST_CASE("an escape says whether it is of a byte or of a character") {
  CHECK(printable("\x85") == R"(\x85)");
  CHECK(printable("\xc2\x85") == R"(\u0085)");
  CHECK(printable("\xc2\x85\x85") == R"(\u0085\x85)");
}

TEST_CASE("an id keeps its form, with each backslash twice") {
  using ilm::printable_id;
  CHECK(printable_id(std::string("a\n")) == R"(a\n)");
  CHECK(printable_id(std::string("a\\n")) == R"(a\\n)");
  CHECK(printable_id(std::string("\xff")) == R"(\xff)");
  CHECK(printable_id(std::string("\\xff")) == R"(\\xff)");
  CHECK(printable_id(-7) == "-7");
}

namespace {

/// Notes ids whose form was that of another before.
class forms {
 public:
  void add(const std::string& id) {
    auto [at, is_new] = ids_.emplace(ilm::printable_id(id), id);
    if (!is_new && at->second != id) alike_.push_back(at->first);
  }
  const std::vector<std::string>& alike() const { return alike_; }

 private:
  std::map<std::string, std::string> ids_;
  std::vector<std::string> alike_;
};

std::string utf8_of(std::uint32_t point) {
  auto byte = [](std::uint32_t value) { return static_cast<char>(value); };
  auto next = [&](unsigned shift) { return byte(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) return {byte(point)};
  if (point < 0x800) return {byte(0xc0 | point >> 6), next(0)};
  if (point < 0x10000) return {byte(0xe0 | point >> 12), next(6), next(0)};
  return {byte(0xf0 | point >> 18), next(12), next(6), next(0)};
}

}  // namespace

TEST_CASE("no two ids of one or two bytes have one form") {
  forms seen;
  for (int first = 0; first < 256; ++first) {
    seen.add({static_cast<char>(first)});
    for (int second = 0; second < 256; ++second) {
      seen.add({static_cast<char>(first), static_cast<char>(second)});
    }
  }
  CHECK(seen.alike() == std::vector<std::string>());
}

TEST_CASE("no two ids of the bytes that escapes are of have one form") {
  // Those that begin, end or are a part of a character that is escaped, and of an escape.
  const std::string bytes =
      "\\xuUn0285ae\n\x1b\x7f\x80\x85\xa8\xae\xbb\xbf\xc2\xd8\xe2\xef\xf3\xa0";
  forms seen;
  std::vector<std::string> shorter{""};
  for (int size = 1; size <= 4; ++size) {
    std::vector<std::string> all;
    for (const std::string& s : shorter) {
      for (char c : bytes) all.push_back(s + c);
    }
    if (size == 4) {
      std::size_t n = 0;
      std::erase_if(all, [&n](const std::string&) { return ++n % 7 != 0; });
    }
    for (const std::string& id : all) seen.add(id);
    shorter = std::move(all);
  }
  CHECK(seen.alike() == std::vector<std::string>());
}

TEST_CASE("no character has the form of another, or of its own bytes one by one") {
  forms seen;
  for (std::uint32_t point = 0; point <= 0x10ffff; ++point) {
    bool half_of_a_pair = point >= 0xd800 && point <= 0xdfff;
    bool some = point < 0x3000 || point % 61 == 0 || (point >= 0xe0000 && point < 0xe0200);
    if (half_of_a_pair || !some) continue;
    std::string character = utf8_of(point);
    seen.add(character);
    seen.add(ilm::printable_id(character));
    for (char c : character) seen.add({c});
  }
  CHECK(seen.alike() == std::vector<std::string>());
}
