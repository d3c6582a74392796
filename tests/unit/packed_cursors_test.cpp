#include "support/catch.hpp"

#include <ilm/runtime/packed_cursors.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <random>

using ilm::runtime::packed_cursors;
using ilm::runtime::packed_numbers;

TEST_CASE("packed numbers come back as they were") {
  std::mt19937_64 random(1);
  for (int round = 0; round < 1000; ++round) {
    std::array<std::uint64_t, packed_numbers::most> all{}, back{};
    for (std::uint64_t& n : all) n = random() >> (8 * (random() % 8)) << (8 * (random() % 8));
    for (int i = 0; i < 10; ++i) all[random() % all.size()] = all[random() % all.size()];
    packed_numbers(all).unpack(back);
    REQUIRE(back == all);
  }
}

TEST_CASE("numbers of one byte, of eight, and none at all, come back as they were") {
  for (std::uint64_t n : {std::uint64_t{0}, std::uint64_t{255}, std::uint64_t{256},
                          ~std::uint64_t{0}, std::uint64_t{1} << 56}) {
    std::array<std::uint64_t, 1> all{n}, back{7};
    packed_numbers(all).unpack(back);
    CHECK(back == all);
  }
  CHECK_FALSE(packed_numbers());
  CHECK_FALSE(packed_cursors());
}

TEST_CASE("packed cursors come back as they were, whatever they are") {
  std::mt19937_64 random(2);
  for (int round = 0; round < 1000; ++round) {
    ilm::cursors::numbers all{};
    for (std::uint64_t& n : all) n = random() % 3 == 0 ? random() % 4 : random();
    all[11] %= 3;  // the origin of the history has a byte
    ilm::cursors c = ilm::cursors::from_numbers(all);
    REQUIRE(c.to_numbers() == all);
    REQUIRE(packed_cursors(c).unpack() == c);
  }
}
