// The codecs: any contents are decoded to a value or refused with the documented error, and a value
// survives being encoded and decoded again.

#include "fuzz/input.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/codecs/json.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace {

using fuzz::require;
using view = std::span<const std::byte>;
using byte_string = std::vector<std::byte>;

/// A message type as in an application.
struct order {
  std::string customer;
  std::vector<std::string> items;
  std::map<std::string, bool> flags;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(order, customer, items, flags)

template <class T>
std::optional<T> decoded(view in) {
  try {
    return ilm::codec<T>::decode(in);
  } catch (const std::system_error& e) {
    require(e.code() == ilm::error::undecodable_contents, "another error than the documented one");
    return std::nullopt;
  }
}

template <class T>
byte_string encoded(const T& value) {
  byte_string out;
  ilm::codec<T>::encode(value, out);
  return out;
}

/// Bytes are compared, not values: a json value that holds a NaN does not equal itself.
template <class T>
void check_again(view in) {
  std::optional<T> value = decoded<T>(in);
  if (!value) return;
  byte_string once = encoded(*value);
  std::optional<T> again = decoded<T>(once);
  require(again.has_value(), "what was encoded is not decoded");
  require(encoded(*again) == once, "a value changes when it is encoded and decoded");
}

/// A codec that accepts all contents of a fitting size.
template <class T>
void check_exact(view in, bool fits) {
  std::optional<T> value = decoded<T>(in);
  require(value.has_value() == fits, "contents of another size are accepted, or the right refused");
  if (value) require(std::ranges::equal(encoded(*value), in), "contents changed");
}

/// Deeply nested arrays, which mutations of bytes seldom produce.
byte_string nested(fuzz::input& in) {
  std::size_t depth = in.number<std::uint16_t>();
  depth *= in.byte();
  constexpr std::array<std::byte, 4> openings{std::byte{0x81}, std::byte{0x9f}, std::byte{0xa1},
                                              std::byte{0xbf}};
  std::byte opening = openings[in.below(openings.size())];
  byte_string out;
  for (std::size_t i = 0; i < std::min(depth, std::size_t{1} << 20); ++i) {
    out.push_back(opening);
    if (opening == std::byte{0xa1} || opening == std::byte{0xbf}) out.push_back(std::byte{0x60});
  }
  view rest = in.rest();
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  view whole = std::as_bytes(std::span(data, size));
  fuzz::input in(whole);
  switch (in.below(4)) {
    case 0:
      check_again<nlohmann::json>(nested(in));
      break;
    case 1:
      check_again<order>(in.rest());
      break;
    case 2: {
      view rest = in.rest();
      check_exact<std::string>(rest, true);
      check_exact<ilm::bytes>(rest, true);
      check_exact<std::vector<unsigned char>>(rest, true);
      check_exact<std::array<std::byte, 16>>(rest, rest.size() == 16);
      check_exact<std::uint64_t>(rest, rest.size() == 8);
      check_exact<std::int16_t>(rest, rest.size() == 2);
      break;
    }
    default:
      check_again<nlohmann::json>(in.rest());
  }
  return 0;
}
