#include "support/catch.hpp"

#include <ilm/codecs/bytes.hpp>

#include <array>
#include <limits>
#include <string>
#include <vector>

using namespace ilm;

namespace {

template <class T>
std::vector<std::byte> encoded(const T& value) {
  std::vector<std::byte> out;
  codec<T>::encode(value, out);
  return out;
}

template <class T>
void round_trip(const T& value) {
  CHECK(codec<T>::decode(encoded(value)) == value);
}

template <class T>
std::error_code refusal(std::size_t size) {
  std::vector<std::byte> in(size);
  try {
    codec<T>::decode(in);
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

struct stranger {};

static_assert(encodable<bytes>);
static_assert(encodable<std::string>);
static_assert(encodable<int>);
static_assert(encodable<std::uint64_t>);
static_assert(encodable<std::array<std::byte, 16>>);
static_assert(encodable<std::vector<unsigned char>>);
static_assert(!encodable<stranger>);
static_assert(!encodable<bool>);
static_assert(!encodable<std::vector<int>>);

static_assert(sendable<const char*>);
static_assert(sendable<char[6]>);
static_assert(sendable<std::string_view>);
static_assert(sendable<std::span<const std::byte>>);
static_assert(!sendable<stranger>);

}  // namespace

TEMPLATE_TEST_CASE("integers come back from their codec", "", std::int8_t, std::uint8_t,
                   std::int16_t, std::uint16_t, std::int32_t, std::uint32_t, std::int64_t,
                   std::uint64_t, char) {
  using limits = std::numeric_limits<TestType>;
  for (TestType v : {TestType{0}, TestType{1}, static_cast<TestType>(-1), limits::min(),
                     limits::max(), static_cast<TestType>(0x55)}) {
    round_trip(v);
  }
  CHECK(encoded(TestType{1}).size() == sizeof(TestType));
  CHECK(refusal<TestType>(sizeof(TestType) + 1) == error::undecodable_contents);
  CHECK(refusal<TestType>(sizeof(TestType) - 1) == error::undecodable_contents);
}

TEST_CASE("integers are encoded in order, the highest digit first") {
  CHECK(encoded(std::uint16_t{0x0102}) == std::vector<std::byte>{std::byte{1}, std::byte{2}});
  CHECK(encoded(std::uint32_t{1}) < encoded(std::uint32_t{256}));
}

TEST_CASE("byte strings, text and arrays come back as they were") {
  round_trip(std::string());
  round_trip(std::string("a\0b", 3));
  round_trip(bytes("some bytes"));
  round_trip(bytes());
  round_trip(std::vector<std::byte>{std::byte{0}, std::byte{255}});
  round_trip(std::vector<unsigned char>{});
  round_trip(std::vector<char>{'x'});
  round_trip(std::array<unsigned char, 4>{0, 1, 254, 255});
  round_trip(std::array<std::byte, 16>{});
}

TEST_CASE("an array of another size is undecodable") {
  CHECK(refusal<std::array<std::byte, 16>>(15) == error::undecodable_contents);
  CHECK(refusal<std::array<std::byte, 16>>(17) == error::undecodable_contents);
  CHECK(refusal<std::array<std::byte, 16>>(0) == error::undecodable_contents);
  CHECK_FALSE(refusal<std::array<std::byte, 16>>(16));
}

TEST_CASE("a codec appends to what is there") {
  std::vector<std::byte> out = encoded(std::string("x"));
  codec<std::uint16_t>::encode(0x7979, out);
  codec<std::string>::encode("z", out);
  CHECK(bytes(out).text() == "xyyz");
}

TEST_CASE("encode takes literals, views and bytes as they are") {
  CHECK(encode("literal").text() == "literal");
  CHECK(encode(std::string_view("view")).text() == "view");
  CHECK(encode(std::string("text")).text() == "text");
  std::vector<std::byte> raw{std::byte{'r'}};
  CHECK(encode(std::span<const std::byte>(raw)).text() == "r");
  CHECK(encode(raw).text() == "r");
  bytes b("shared");
  CHECK(encode(b).view().data() == b.view().data());
  CHECK(encode(std::uint16_t{0x4142}).text() == "AB");
}
