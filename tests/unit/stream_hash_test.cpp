#include "support/catch.hpp"

#include <ilm/protocol/random.hpp>
#include <ilm/protocol/stream_hash.hpp>

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::protocol;

namespace {

std::span<const std::byte> view(std::string_view text) { return std::as_bytes(std::span(text)); }

stream_hash hash_of(std::string_view contents, std::string_view attributes = {}) {
  return extend(stream_hash{1, 2}, 3, 4, view(contents), view(attributes));
}

std::pair<std::uint64_t, std::uint64_t> words(const stream_hash& h) { return {h.high, h.low}; }

/// The fold where there is no number of 128 bits, digit by digit.
std::uint64_t long_fold(std::uint64_t a, std::uint64_t b) {
  std::uint64_t high = 0, low = 0;
  for (int bit = 63; bit >= 0; --bit) {
    high = high << 1 | low >> 63;
    low <<= 1;
    if ((a >> bit & 1) == 0) continue;
    low += b;
    if (low < b) ++high;
  }
  return high ^ low;
}

}  // namespace

TEST_CASE("the hash of a stream is the same for ever") {
  // These are on the wire and in stores: a build with others can talk to none of today's.
  CHECK(words(extend({}, 0, 0, {})) ==
        std::pair{std::uint64_t{0x12faa161a4ef51e0}, std::uint64_t{0x87d5bc80703a6f61}});
  CHECK(words(extend({}, 1, 0, view("a"))) ==
        std::pair{std::uint64_t{0xbf373c261137c9eb}, std::uint64_t{0xa84c0b6e6735fed7}});
  CHECK(words(extend({1, 2}, 3, 4, view("sixteen bytes ok"))) ==
        std::pair{std::uint64_t{0xd01f572459ee63a2}, std::uint64_t{0x36d610a67a56613b}});
  CHECK(words(extend({1, 2}, 3, 4, view("more than sixteen bytes"), view("attributes"))) ==
        std::pair{std::uint64_t{0x11bf5606d5570dc3}, std::uint64_t{0x1100393db404bf7a}});
}

TEST_CASE("every input changes the hash of a stream, bit by bit") {
  using number = std::uint64_t;
  std::set<std::pair<number, number>> all;
  std::size_t inputs = 0;
  auto add = [&](const stream_hash& h) {
    all.insert(words(h));
    ++inputs;
  };
  stream_hash before{11, 12};
  add(extend(before, 13, 14, view("contents"), view("attributes")));
  for (int bit = 0; bit < 64; ++bit) {
    number one = number{1} << bit;
    add(extend({11 ^ one, 12}, 13, 14, view("contents"), view("attributes")));
    add(extend({11, 12 ^ one}, 13, 14, view("contents"), view("attributes")));
    add(extend(before, 13 ^ one, 14, view("contents"), view("attributes")));
    add(extend(before, 13, 14 ^ one, view("contents"), view("attributes")));
  }
  for (std::size_t length : {8U, 40U}) {
    std::string contents(length, 'c'), attributes(length, 'a');
    add(extend(before, 13, 14, view(contents), view(attributes)));
    for (std::size_t bit = 0; bit < length * 8; ++bit) {
      auto flip = [bit](std::string text) {
        text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << (bit % 8)));
        return text;
      };
      add(extend(before, 13, 14, view(flip(contents)), view(attributes)));
      add(extend(before, 13, 14, view(contents), view(flip(attributes))));
    }
  }
  CHECK(all.size() == inputs);
}

TEST_CASE("zeros at the end of a message are part of it") {
  std::set<std::pair<std::uint64_t, std::uint64_t>> all;
  for (std::size_t n = 0; n < 100; ++n) {
    all.insert(words(hash_of(std::string(n, '\0'))));
    all.insert(words(hash_of("x" + std::string(n, '\0'))));
    all.insert(words(hash_of("", "x" + std::string(n, '\0'))));
  }
  CHECK(all.size() == 300);
}

TEST_CASE("the boundary between attributes and contents is part of a message") {
  std::string text(50, 'x');
  std::set<std::pair<std::uint64_t, std::uint64_t>> all;
  for (std::size_t at = 0; at <= text.size(); ++at) {
    all.insert(words(hash_of(text.substr(at), text.substr(0, at))));
  }
  CHECK(all.size() == text.size() + 1);
}

TEST_CASE("messages that change places change the hash of a stream") {
  auto both = [](std::string_view a, std::string_view b) {
    return extend(extend({}, 1, 0, view(a)), 2, 0, view(b));
  };
  CHECK(both("one", "two") != both("two", "one"));
  CHECK(both("one", "") != both("", "one"));
  CHECK(both("one", "two") == both("one", "two"));
}

TEST_CASE("the hash of a stored message is that of its parts") {
  stream_hash before{5, 6};
  stored_message m(99, 7, 8, {}, bytes(std::string_view("text")), bytes(std::string_view("with")));
  CHECK(extend(before, m) == extend(before, 7, 8, view("text"), view("with")));
}

TEST_CASE("the hash before a message and its salt do not stand for each other") {
  CHECK(extend({1, 2}, 3, 4, view("x")) != extend({1, 4}, 3, 2, view("x")));
  CHECK(extend({1, 2}, 3, 4, view("x")) != extend({3, 2}, 1, 4, view("x")));
}

TEST_CASE("a product of 0 does not make the hash forget what was before") {
  // The first lane multiplies by 0 if its input equals the constant: the second one remembers.
  stream_hash h{0x9e3779b97f4a7c15 ^ 3, 1};
  std::set<std::pair<std::uint64_t, std::uint64_t>> all;
  for (std::uint64_t low = 0; low < 100; ++low) {
    all.insert(words(extend({h.high, low}, 3, 0, view("x"))));
  }
  CHECK(all.size() == 100);
}

TEST_CASE("two words are folded as their product of 128 bits is, whatever does it") {
  random_source random(1);
  std::vector<std::uint64_t> edges = {
      0, 1, 2, 0xffffffff, 0x100000000, ~std::uint64_t{0}, std::uint64_t{1} << 63};
  for (int i = 0; i < 50; ++i) edges.push_back(random.next());
  for (std::uint64_t a : edges) {
    for (std::uint64_t b : edges) {
      INFO(a << ' ' << b);
      CHECK(detail::fold(a, b) == long_fold(a, b));
    }
  }
}

TEST_CASE("the fold without a number of 128 bits is the same") {
  // As in the header, which takes this way only where the compiler has no other.
  auto portable = [](std::uint64_t a, std::uint64_t b) {
    std::uint64_t a_low = a & 0xffffffff, a_high = a >> 32;
    std::uint64_t b_low = b & 0xffffffff, b_high = b >> 32;
    std::uint64_t low = a_low * b_low, high = a_high * b_high;
    std::uint64_t cross = a_high * b_low + (low >> 32);
    std::uint64_t middle = a_low * b_high + (cross & 0xffffffff);
    return (high + (cross >> 32) + (middle >> 32)) ^ ((middle << 32) | (low & 0xffffffff));
  };
  random_source random(2);
  for (int i = 0; i < 10'000; ++i) {
    std::uint64_t a = random.next() >> random.below(64), b = random.next() >> random.below(64);
    REQUIRE(portable(a, b) == detail::fold(a, b));
  }
}
