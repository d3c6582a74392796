#include "support/catch.hpp"

#include <ilm/attributes.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ilm;
using namespace std::chrono_literals;

namespace {

attributes encoded(const send_options& with) {
  bytes out;
  REQUIRE_FALSE(with.encode(out));
  return attributes(out);
}

std::error_code refusal_of(const send_options& with) {
  bytes out(std::string_view("untouched"));
  std::error_code refused = with.encode(out);
  if (refused) CHECK(out.text() == "untouched");
  return refused;
}

send_options with_headers(std::size_t count, std::size_t key, std::size_t value) {
  send_options with;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name(key, 'k');
    name[0] = static_cast<char>('A' + i);
    with.headers.emplace_back(name, std::string(value, 'v'));
  }
  return with;
}

std::error_code check(std::string_view encoded) {
  return attributes::check(std::as_bytes(std::span(encoded)));
}

}  // namespace

TEST_CASE("headers come back in the order in which they were set") {
  attributes a = encoded({.headers = {{"content-type", "text/plain"}, {"empty", ""}, {"b", "2"}}});
  CHECK(a.headers() ==
        std::vector<header>{{"content-type", "text/plain"}, {"empty", ""}, {"b", "2"}});
  CHECK(a.header_text("content-type") == "text/plain");
  REQUIRE(a.header("empty"));
  CHECK(a.header("empty")->empty());
  CHECK_FALSE(a.header("content"));
  CHECK_FALSE(a.header(""));
  CHECK(a.header_text("none").empty());
  CHECK_FALSE(a.sent_at());
}

TEST_CASE("a header's value is any bytes") {
  std::string value("\0\xff\x80 ", 4);
  attributes a = encoded({.headers = {{"k", value}}});
  CHECK(a.header_text("k") == value);
}

TEST_CASE("the time of sending comes back to the microsecond, before 1970 too") {
  for (auto since : {0us, 1us, -1us, 1'764'000'000'123'456us, std::chrono::microseconds::min(),
                     std::chrono::microseconds::max()}) {
    send_options with;
    with.sent_at = attributes::time_point(since);
    CHECK(encoded(with).sent_at() == attributes::time_point(since));
  }
}

TEST_CASE("nothing set takes no byte") {
  bytes out;
  CHECK_FALSE(send_options().encode(out));
  CHECK(out.empty());
  CHECK(send_options().empty());
  CHECK(attributes().empty());
  CHECK(attributes().headers().empty());
}

TEST_CASE("the key of a header has 1 to 64 bytes") {
  CHECK_FALSE(refusal_of(with_headers(1, 1, 0)));
  CHECK_FALSE(refusal_of(with_headers(1, 64, 0)));
  CHECK(refusal_of(with_headers(1, 65, 0)) == error::invalid_attributes);
  // Sizes that the one byte for it would show as 1 and as 64.
  CHECK(refusal_of(with_headers(1, 257, 0)) == error::invalid_attributes);
  CHECK(refusal_of(with_headers(1, 320, 1)) == error::invalid_attributes);
  CHECK(refusal_of({.headers = {{"", "v"}}}) == error::invalid_attributes);
}

TEST_CASE("a message has at most 32 attributes, of 4,096 bytes in all") {
  CHECK_FALSE(refusal_of(with_headers(32, 2, 2)));
  CHECK(refusal_of(with_headers(33, 2, 2)) == error::invalid_attributes);
  // Type, length (2 bytes), size of the key, key.
  CHECK_FALSE(refusal_of(with_headers(1, 1, 4096 - 5)));
  CHECK(refusal_of(with_headers(1, 1, 4096 - 4)) == error::invalid_attributes);
  send_options both = with_headers(32, 2, 2);
  both.sent_at = attributes::time_point(1us);
  CHECK(refusal_of(both) == error::invalid_attributes);
}

TEST_CASE("a key occurs once, in what is forwarded as well") {
  CHECK(refusal_of({.headers = {{"k", "1"}, {"l", "2"}, {"k", "3"}}}) == error::invalid_attributes);
  send_options next;
  next.forwarded = encoded({.headers = {{"k", "1"}}});
  next.headers = {{"k", "2"}};
  CHECK(refusal_of(next) == error::invalid_attributes);
  next.headers = {{"K", "2"}};
  CHECK(encoded(next).headers() == std::vector<header>{{"k", "1"}, {"K", "2"}});
}

TEST_CASE("a time of sending takes the place of the one that is handed on") {
  attributes::time_point early(std::chrono::microseconds(5)), late(std::chrono::microseconds(7));
  send_options next;
  next.forwarded = encoded({.headers = {{"k", "v"}}, .sent_at = early});
  CHECK(encoded(next).sent_at() == early);
  next.sent_at = late;
  CHECK(encoded(next).sent_at() == late);
  CHECK(encoded(next).header_text("k") == "v");
  next.sent_at.reset();
  bytes stamped;
  REQUIRE_FALSE(next.encode(stamped, late));
  CHECK(attributes(stamped).sent_at() == late);
}

TEST_CASE("an attribute of the future is kept and handed on") {
  std::string future("\x93\x03new", 5);
  attributes received{bytes(std::string_view(future))};
  CHECK(received.headers().empty());
  send_options next;
  next.forwarded = received;
  next.headers = {{"k", "v"}};
  attributes handed_on = encoded(next);
  CHECK(handed_on.header_text("k") == "v");
  std::vector<std::pair<unsigned, std::string>> all;
  handed_on.for_each([&](attribute_type type, std::span<const std::byte> value) {
    all.emplace_back(static_cast<unsigned>(type),
                     std::string(reinterpret_cast<const char*>(value.data()), value.size()));
  });
  REQUIRE(all.size() == 2);
  CHECK(all[0] == std::pair<unsigned, std::string>(0x93, "new"));
}

TEST_CASE("bytes that are no attributes are told from those of a feature that is missing") {
  CHECK_FALSE(check(""));
  CHECK_FALSE(check({"\x80\x00", 2}));
  CHECK(check("\x93") == error::malformed_frame);
  CHECK(check("\x93\x02x") == error::malformed_frame);
  CHECK(check({"\x7f\x00", 2}) == error::unknown_attribute);
  CHECK(check({"\x01\x01x", 3}) == error::unknown_attribute);
  // A header without a key, with a key that is too long, with less than its key.
  CHECK(check({"\x81\x00", 2}) == error::malformed_frame);
  CHECK(check({"\x81\x02\x00v", 4}) == error::malformed_frame);
  CHECK(check({"\x81\x02\x02k", 4}) == error::malformed_frame);
  CHECK_FALSE(check({"\x81\x02\x01k", 4}));
  CHECK(check({"\x81\x40\x43\x41", 4}) == error::malformed_frame);
  // A time of another size.
  CHECK(check(std::string("\x82\x07") + std::string(7, 'x')) == error::malformed_frame);
  CHECK_FALSE(check(std::string("\x82\x08") + std::string(8, 'x')));
  CHECK_THROWS_AS(attributes(bytes(std::string_view("\x93"))), std::system_error);
}
