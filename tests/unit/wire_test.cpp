#include "support/catch.hpp"

#include <ilm/protocol/wire.hpp>

#include <array>
#include <cstdint>
#include <limits>
#include <vector>

using namespace ilm::protocol;

namespace {

template <class Unsigned>
void check_number(Unsigned value) {
  std::vector<std::byte> out;
  wire_writer(out).number(value);
  CHECK(out.size() == sizeof(Unsigned));
  wire_reader in(out);
  CHECK(in.number<Unsigned>() == value);
  CHECK(in.ok());
  CHECK(in.left() == 0);
}

}  // namespace

TEST_CASE("numbers of every width come back from the wire") {
  for (std::uint64_t v : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0x0123456789abcdef},
                          std::numeric_limits<std::uint64_t>::max()}) {
    check_number(v);
    check_number(static_cast<std::uint32_t>(v));
    check_number(static_cast<std::uint16_t>(v));
    check_number(static_cast<std::uint8_t>(v));
  }
}

TEST_CASE("numbers on the wire are big-endian") {
  std::vector<std::byte> out(4);
  wire_writer(out).patch(0, std::uint32_t{0x01020304});
  CHECK(out == std::vector<std::byte>{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}});
}

TEST_CASE("a patch changes a number in place and nothing beside it") {
  std::vector<std::byte> out(6);
  wire_writer writer(out);
  for (std::uint16_t v : {std::uint16_t{1}, std::uint16_t{2}, std::uint16_t{3}}) {
    writer.patch((v - 1U) * 2U, v);
  }
  writer.patch(2, std::uint16_t{0xbeef});
  wire_reader in(out);
  CHECK(in.number<std::uint16_t>() == 1);
  CHECK(in.number<std::uint16_t>() == 0xbeef);
  CHECK(in.number<std::uint16_t>() == 3);
}

TEST_CASE("a varint takes the fewest of 1, 2, 4 or 8 bytes, and comes back, at every bound") {
  for (auto [bits, shorter, longer] : {std::array<unsigned, 3>{6, 1, 2}, {14, 2, 4}, {30, 4, 8}}) {
    std::uint64_t bound = std::uint64_t{1} << bits;
    for (std::uint64_t value : {bound - 1, bound, bound + 1}) {
      std::vector<std::byte> out;
      wire_writer(out).varint(value);
      CHECK(out.size() == (value < bound ? shorter : longer));
      CHECK(varint_size(value) == out.size());
      wire_reader in(out);
      CHECK(in.varint() == value);
      CHECK(in.left() == 0);
      CHECK(in.ok());
    }
  }
}

TEST_CASE("reading past the end gives zeros for good") {
  std::vector<std::byte> three(3, std::byte{0xff});
  wire_reader in(three);
  CHECK(in.number<std::uint32_t>() == 0);
  CHECK_FALSE(in.ok());
  CHECK(in.number<std::uint8_t>() == 0);
  CHECK(in.raw(1).empty());
  CHECK_FALSE(in.ok());
}

TEST_CASE("a length beyond the end takes nothing") {
  std::vector<std::byte> three(3, std::byte{1});
  wire_reader in(three);
  CHECK(in.raw(std::numeric_limits<std::size_t>::max()).empty());
  CHECK_FALSE(in.ok());
  wire_reader whole(three);
  CHECK(whole.raw(3).size() == 3);
  CHECK(whole.raw(0).empty());
  CHECK(whole.ok());
}
