// The version of the API is an inline namespace, which a user's code never names.

#include "support/catch.hpp"

#include <ilm/bytes.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/frame.hpp>

#include <cstddef>
#include <span>
#include <system_error>
#include <type_traits>
#include <vector>

namespace {

struct in_namespace {
  char value;
};

struct qualified {
  char value;
};

template <class T>
struct one_byte {
  static void encode(const T& t, std::vector<std::byte>& out) {
    out.push_back(static_cast<std::byte>(t.value));
  }
  static T decode(std::span<const std::byte> in) { return {static_cast<char>(in.front())}; }
};

template <class Codec, class T>
T round_trip(const T& value) {
  std::vector<std::byte> out;
  Codec::encode(value, out);
  return Codec::decode(out);
}

}  // namespace

namespace ilm {

template <>
struct codec<in_namespace> : one_byte<in_namespace> {};

}  // namespace ilm

template <>
struct ilm::codec<qualified> : one_byte<qualified> {};

static_assert(std::is_same_v<ilm::error, ilm::v0::error>);
static_assert(std::is_same_v<ilm::bytes, ilm::v0::bytes>);
static_assert(std::is_same_v<ilm::message<int>, ilm::v0::message<int>>);
static_assert(std::is_same_v<ilm::protocol::frame, ilm::v0::protocol::frame>);
static_assert(std::is_same_v<ilm::codec<qualified>, ilm::v0::codec<qualified>>);

static_assert(std::is_error_code_enum_v<ilm::error>);
static_assert(ilm::encodable<in_namespace> && ilm::encodable<qualified>);

TEST_CASE("a user specialises codec through the unversioned namespace") {
  CHECK(round_trip<ilm::v0::codec<in_namespace>>(in_namespace{'a'}).value == 'a');
  CHECK(round_trip<ilm::v0::codec<qualified>>(qualified{'b'}).value == 'b');
}

TEST_CASE("an error of the versioned namespace makes an error code") {
  std::error_code code = ilm::v0::error::would_block;
  CHECK(code == ilm::error::would_block);
}
