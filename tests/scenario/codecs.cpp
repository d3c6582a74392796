#include "support/catch.hpp"

#include <ilm/codecs/json.hpp>
#include <ilm/message.hpp>

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace shop {

struct item {
  std::string name;
  int count = 0;
  friend bool operator==(const item&, const item&) = default;
};

struct order {
  std::uint64_t number = 0;
  std::vector<item> items;
  std::map<std::string, double> prices;
  bool paid = false;
  friend bool operator==(const order&, const order&) = default;
};

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(item, name, count)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(order, number, items, prices, paid)

struct stranger {};

}  // namespace shop

namespace {

shop::order some_order() {
  shop::order o;
  o.number = 1ULL << 63;
  o.items = {{"tea \xc3\xa4", 2}, {"", -1}};
  o.prices = {{"tea", 3.25}, {"nothing", 0.0}};
  o.paid = true;
  return o;
}

template <class T>
T there_and_back(const T& value) {
  return ilm::message<int>(1, 1, ilm::encode(value)).template as<T>();
}

template <class T>
std::error_code refusal(const ilm::bytes& contents) {
  try {
    (void)ilm::message<int>(1, 1, contents).template as<T>();
  } catch (const std::system_error& e) {
    return e.code();
  }
  return {};
}

static_assert(ilm::sendable<shop::order>);
static_assert(ilm::sendable<std::vector<std::string>>);
static_assert(ilm::sendable<nlohmann::json>);
static_assert(ilm::encodable<double>);
static_assert(!ilm::sendable<shop::stranger>);

}  // namespace

TEST_CASE("a type that nlohmann/json converts comes back as it was") {
  CHECK(there_and_back(some_order()) == some_order());
  CHECK(there_and_back(shop::order()) == shop::order());
}

TEST_CASE("standard types without a codec of their own travel as well") {
  std::vector<std::string> words{"a", "", "c"};
  CHECK(there_and_back(words) == words);
  std::map<std::string, int> counts{{"x", 1}, {"y", -2}};
  CHECK(there_and_back(counts) == counts);
  CHECK(there_and_back(1.5) == 1.5);
  CHECK(there_and_back(true));
  CHECK_FALSE(there_and_back(false));
}

TEST_CASE("json values travel as they are") {
  nlohmann::json value = {{"a", {1, 2.5, nullptr}}, {"b", "text"}};
  CHECK(there_and_back(value) == value);
}

TEST_CASE("a number beyond the signed ones stays positive") {
  nlohmann::json largest = std::numeric_limits<std::uint64_t>::max();
  nlohmann::json there = there_and_back(largest);
  CHECK(there.is_number_unsigned());
  CHECK(there.dump() == largest.dump());
}

TEST_CASE("contents travel as CBOR, which is shorter than text") {
  nlohmann::json value = some_order();
  CHECK(ilm::encode(some_order()).size() < value.dump().size());
  std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(value);
  CHECK(ilm::encode(some_order()) == ilm::bytes(std::as_bytes(std::span(cbor))));
}

TEST_CASE("types with a codec of their own do not become CBOR") {
  CHECK(ilm::encode(std::string("text")).text() == "text");
  CHECK(ilm::encode("text").text() == "text");
  CHECK(ilm::encode(std::uint32_t{1}).size() == 4);
}

TEST_CASE("contents that are no CBOR are undecodable") {
  CHECK(refusal<shop::order>(ilm::bytes()) == ilm::error::undecodable_contents);
  CHECK(refusal<shop::order>(ilm::bytes("hello")) == ilm::error::undecodable_contents);
  CHECK(refusal<shop::order>(ilm::bytes("\xff\xff\xff")) == ilm::error::undecodable_contents);
}

TEST_CASE("contents of another type are undecodable") {
  CHECK(refusal<shop::order>(ilm::encode(shop::item{"tea", 1})) ==
        ilm::error::undecodable_contents);
  CHECK(refusal<shop::order>(ilm::encode(1.5)) == ilm::error::undecodable_contents);
  CHECK(refusal<std::vector<int>>(ilm::encode(std::vector<std::string>{"x"})) ==
        ilm::error::undecodable_contents);
  CHECK_FALSE(refusal<shop::item>(ilm::encode(shop::item{"tea", 1})));
}

TEST_CASE("contents that are cut anywhere or go on are undecodable") {
  std::string whole(ilm::encode(some_order()).text());
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK(refusal<shop::order>(ilm::bytes(whole.substr(0, size))) ==
          ilm::error::undecodable_contents);
  }
  CHECK(refusal<shop::order>(ilm::bytes(whole + '\0')) == ilm::error::undecodable_contents);
}

TEST_CASE("text that is no UTF-8 is refused when it is sent or arrives as it was") {
  shop::item odd{"\xff\xfe", 1};
  try {
    CHECK(there_and_back(odd) == odd);
  } catch (const std::exception&) {
    SUCCEED("refused");
  }
}

TEST_CASE("contents that nest without end are undecodable, and do not exhaust the stack") {
  const std::vector<std::string> openings{"\x81", "\x9f", std::string("\xa1\x60"),
                                          std::string("\xbf\x60")};
  for (const std::string& opening : openings) {
    std::string deep;
    while (deep.size() < 1 << 20) deep += opening;
    CHECK(refusal<nlohmann::json>(ilm::bytes(deep)) == ilm::error::undecodable_contents);
    CHECK(refusal<shop::order>(ilm::bytes(deep)) == ilm::error::undecodable_contents);
  }
}

TEST_CASE("contents to send may nest as deep as contents that are received") {
  for (bool object : {false, true}) {
    nlohmann::json value = 1;
    auto wrap = [&] {
      nlohmann::json around;
      if (object) {
        around["x"] = std::move(value);
      } else {
        around.push_back(std::move(value));
      }
      value = std::move(around);
    };
    for (std::size_t i = 0; i < ilm::maximum_json_depth; ++i) wrap();
    CHECK(there_and_back(value) == value);
    wrap();
    CHECK_THROWS_AS(ilm::encode(value), std::system_error);
    std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(value);
    CHECK(refusal<nlohmann::json>(ilm::bytes(std::as_bytes(std::span(cbor)))) ==
          ilm::error::undecodable_contents);
  }
}

TEST_CASE("contents are as deep as their deepest part, wherever that is, and an empty one counts") {
  nlohmann::json deep = GENERATE(nlohmann::json::array(), nlohmann::json::object());
  for (std::size_t i = 2; i < ilm::maximum_json_depth; ++i) {
    nlohmann::json around = nlohmann::json::array();
    around.push_back(std::move(deep));
    deep = std::move(around);
  }
  std::vector<nlohmann::json> around;
  for (std::size_t at = 0; at < 3; ++at) {
    nlohmann::json parts = {1, nlohmann::json::array(), "x"};
    parts[at] = deep;
    around.push_back(parts);
    around.push_back({{"a", parts[0]}, {"b", parts[1]}, {"c", parts[2]}});
  }
  for (const nlohmann::json& value : around) {
    CHECK(there_and_back(value) == value);
    nlohmann::json deeper = {0, value, 0};
    CHECK_THROWS_AS(ilm::encode(deeper), std::system_error);
  }
}
