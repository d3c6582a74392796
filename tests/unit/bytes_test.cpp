#include "support/catch.hpp"

#include <ilm/bytes.hpp>

#include <span>
#include <string>
#include <string_view>

using namespace ilm;

TEST_CASE("bytes are a copy of what they were made from") {
  std::string text = "hello";
  bytes b(text);
  text = "other";
  CHECK(b.text() == "hello");
  CHECK(b.size() == 5);
  CHECK_FALSE(b.empty());
}

TEST_CASE("copies of bytes share their storage") {
  bytes a("some text");
  bytes b = a;
  CHECK(a.view().data() == b.view().data());
  CHECK(a == b);
  a = bytes("other");
  CHECK(b.text() == "some text");
  CHECK_FALSE(a == b);
}

TEST_CASE("empty bytes are equal however they came to be") {
  bytes none, empty_text{std::string_view()}, empty_view{std::span<const std::byte>()};
  CHECK(none.empty());
  CHECK(none.view().empty());
  CHECK(none.text().empty());
  CHECK(none == empty_text);
  CHECK(none == empty_view);
}

TEST_CASE("bytes hold zeros and high values as they are") {
  std::string text("\0\xff\0", 3);
  CHECK(bytes(text).text() == text);
  CHECK_FALSE(bytes(text) == bytes(text.substr(0, 2)));
}
