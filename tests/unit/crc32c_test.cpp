#include "support/catch.hpp"

#include <ilm/protocol/association.hpp>
#include <ilm/protocol/crc32c.hpp>

#include <array>
#include <string_view>

TEST_CASE("crc32c gives the check value of the catalogue") {
  std::string_view digits = "123456789";
  CHECK(ilm::protocol::crc32c(std::as_bytes(std::span(digits))) == 0xe3069283U);
}
