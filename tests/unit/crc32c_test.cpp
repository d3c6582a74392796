#include "support/catch.hpp"

#include <ilm/protocol/crc32c.hpp>

#include <string_view>
#include <vector>

using ilm::protocol::crc32c;
namespace detail = ilm::protocol::detail;

namespace {

std::uint32_t bit_by_bit(std::span<const std::byte> data) {
  std::uint32_t crc = ~0U;
  for (std::byte b : data) {
    crc ^= std::to_integer<std::uint32_t>(b);
    for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78U : crc >> 1;
  }
  return ~crc;
}

}  // namespace

TEST_CASE("crc32c gives the check value of the catalogue") {
  std::string_view digits = "123456789";
  CHECK(crc32c(std::as_bytes(std::span(digits))) == 0xe3069283U);
}

TEST_CASE("crc32c gives the values of RFC 3720, appendix B.4") {
  std::vector<std::byte> data(32);
  CHECK(crc32c(data) == 0x8a9136aaU);
  data.assign(32, std::byte{0xff});
  CHECK(crc32c(data) == 0x62a8ab43U);
  for (std::size_t i = 0; i < 32; ++i) data[i] = static_cast<std::byte>(i);
  CHECK(crc32c(data) == 0x46dd794eU);
  for (std::size_t i = 0; i < 32; ++i) data[i] = static_cast<std::byte>(31 - i);
  CHECK(crc32c(data) == 0x113fdb5cU);
}

TEST_CASE("crc32c by eights agrees with crc32c by bits at every length and alignment") {
  std::vector<std::byte> data;
  for (std::size_t i = 0; i < 80; ++i) data.push_back(static_cast<std::byte>(i * 37 + 11));
  for (std::size_t from = 0; from < 9; ++from) {
    for (std::size_t size = 0; from + size <= data.size(); ++size) {
      auto part = std::span(data).subspan(from, size);
      std::uint32_t expected = bit_by_bit(part);
      REQUIRE(crc32c(part) == expected);
      REQUIRE(~detail::crc32c_by_tables(~0U, part.data(), size) == expected);
#ifdef ILM_CRC32C_INSTRUCTION
      if (!detail::has_crc32c_instruction()) continue;
      REQUIRE(~detail::crc32c_by_instruction(~0U, part.data(), size) == expected);
#endif
    }
  }
}

TEST_CASE("crc32c goes on where it ended") {
  std::string_view digits = "123456789";
  auto bytes = std::as_bytes(std::span(digits));
  for (std::size_t first = 0; first <= bytes.size(); ++first) {
    CHECK(crc32c(bytes.subspan(first), crc32c(bytes.first(first))) == 0xe3069283U);
  }
}
