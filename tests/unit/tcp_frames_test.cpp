#include "support/catch.hpp"

#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/frames.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace ilm::detail::tcp;
using bytes_vector = std::vector<std::byte>;

namespace {

/// Feeds a stream in parts of the given size and returns the frames; `most` is the largest space
/// that was asked for.
std::vector<bytes_vector> split(frame_splitter& s, const bytes_vector& stream, std::size_t part,
                                std::size_t& most) {
  std::vector<bytes_vector> frames;
  std::size_t at = 0;
  while (at < stream.size() && !s.too_large()) {
    std::span<std::byte> space = s.space();
    if (space.empty()) FAIL("no space");
    most = std::max(most, space.size());
    std::size_t size = std::min({part, space.size(), stream.size() - at});
    std::copy_n(stream.begin() + static_cast<std::ptrdiff_t>(at), size, space.begin());
    s.filled(size);
    at += size;
    bytes_vector frame;
    while (s.poll(frame)) frames.push_back(std::move(frame));
  }
  return frames;
}

void append(bytes_vector& stream, const bytes_vector& frame) {
  for (std::byte b : frame_prefix(frame.size())) stream.push_back(b);
  stream.insert(stream.end(), frame.begin(), frame.end());
}

}  // namespace

TEST_CASE("a stream is cut into the frames that were put into it, however it arrives") {
  std::mt19937 random(7);
  std::vector<bytes_vector> frames;
  bytes_vector stream;
  const std::vector<std::size_t> sizes{0,     1,     4,     16379,  16380, 16381,
                                       16384, 65536, 70000, 200000, 0,     5};
  for (std::size_t size : sizes) {
    frames.emplace_back(size, static_cast<std::byte>(random()));
    append(stream, frames.back());
  }
  for (int i = 0; i < 200; ++i) {
    frames.emplace_back(random() % 300, static_cast<std::byte>(random()));
    append(stream, frames.back());
  }
  for (std::size_t part : {std::size_t{1}, std::size_t{3}, std::size_t{1000}, std::size_t{16384},
                           std::size_t{1} << 20}) {
    frame_splitter s(200000);
    std::size_t most = 0;
    CHECK(split(s, stream, part, most) == frames);
    CHECK(!s.too_large());
  }
}

TEST_CASE("a frame beyond the maximum stops the splitter where it begins") {
  bytes_vector stream;
  append(stream, bytes_vector(100));
  append(stream, bytes_vector(101));
  append(stream, bytes_vector(1));
  frame_splitter s(100);
  std::size_t most = 0;
  CHECK(split(s, stream, 1000, most).size() == 1);
  CHECK(s.too_large());
}

TEST_CASE("a length alone does not make the splitter set memory aside") {
  bytes_vector stream;
  append(stream, bytes_vector(1 << 24));
  frame_splitter s(1 << 24);
  std::size_t most = 0;
  stream.resize(1 << 18);
  CHECK(split(s, stream, 1 << 14, most).empty());
  CHECK(most <= 1 << 18);
}

TEST_CASE("addresses are read as host and port") {
  CHECK(parse_address("host:1") == address{"host", 1});
  CHECK(parse_address("10.0.0.1:65535") == address{"10.0.0.1", 65535});
  CHECK(parse_address("[::1]:80") == address{"::1", 80});
  CHECK(parse_address("[fe80::1%eth0]:0") == address{"fe80::1%eth0", 0});
  CHECK(parse_destination("a.b-c:4711") == address{"a.b-c", 4711});
}

TEST_CASE("a text that is no address is refused") {
  using namespace std::string_literals;
  for (const std::string& text :
       {""s, ":"s, "host"s, "host:"s, ":1"s, "host:x"s, "host:65536"s, "host:-1"s, "host: 1"s,
        "::1:80"s, "[::1]"s, "[::1"s, "::1]:80"s, "[::1]80"s, "[]:1"s, "a b:1"s, "a\0b:1"s}) {
    try {
      parse_address(text);
      FAIL_CHECK("accepted: " << text);
    } catch (const std::system_error& e) {
      CHECK(e.code() == ilm::tcp_error::bad_address);
    }
  }
  CHECK_THROWS_AS(parse_destination("host:0"), std::system_error);
}
