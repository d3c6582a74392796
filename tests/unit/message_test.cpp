#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/message.hpp>

#include <string>

using namespace ilm;

TEST_CASE("a message gives its contents as a type with a codec") {
  message<int> m(7, 3, encode(std::uint32_t{12}));
  CHECK(m.from == 7);
  CHECK(m.sequence == 3);
  CHECK(m.as<std::uint32_t>() == 12);
  CHECK_THROWS_AS(m.as<std::uint64_t>(), std::system_error);
}

TEST_CASE("a range knows what it holds") {
  sequence_range none, two{3, 4};
  CHECK(none.empty());
  CHECK_FALSE(none.contains(1));
  CHECK_FALSE(two.empty());
  CHECK(two.contains(3));
  CHECK(two.contains(4));
  CHECK_FALSE(two.contains(2));
  CHECK_FALSE(two.contains(5));
}
