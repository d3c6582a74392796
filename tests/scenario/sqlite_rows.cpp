// Rows of peers in a SQLite store that it would not have made itself, though they pass their
// checks.

#include "support/catch.hpp"
#include "support/sqlite.hpp"

#include <ilm/backends/sqlite/rows.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace test;

namespace {

/// A store that knows bob and holds nothing, and was closed.
struct store_of_bob {
  store_of_bob() {
    hand_driven<> s(file);
    s.open();
    s.commit(append("bob", bob, {"1"}));
    s.commit(erase("bob", bob, bob.outbox.next));
    s.close();
    std::filesystem::remove(file.string() + "-last");
  }

  /// Adds a row with bob's cursors, `more` bytes behind them, and a checksum that is right.
  void add_row(std::uint64_t id, const std::string& name, std::size_t more = 0) {
    std::string seed = outsider(file, "SELECT seed FROM ilm_store");
    ilm::cursors::encoded encoded = bob.encode();
    std::vector<std::byte> stored(encoded.begin(), encoded.end());
    stored.resize(stored.size() + more);
    std::uint32_t sum = ilm::detail::peer_row_checksum(
        ilm::detail::checksum_seed(static_cast<std::uint64_t>(std::stoll(seed))), id,
        std::as_bytes(std::span(name)), stored);
    outsider(file, "INSERT INTO ilm_peer VALUES (" + std::to_string(id) + ", CAST('" + name +
                       "' AS BLOB), " + blob(stored) + ", " + std::to_string(sum) + ")");
  }
  static std::string blob(const std::vector<std::byte>& bytes) {
    std::string text = "x'";
    for (std::byte b : bytes) {
      text += "0123456789abcdef"[std::to_integer<std::size_t>(b >> 4)];
      text += "0123456789abcdef"[std::to_integer<std::size_t>(b & std::byte{15})];
    }
    return text + "'";
  }

  temporary_directory place;
  std::filesystem::path file = place / "s.db";
  ilm::cursors bob;
};

constexpr std::uint64_t most_peers = 8'388'607;

}  // namespace

TEST_CASE_METHOD(store_of_bob, "sqlite: a peer with a number that no key has room for is damage") {
  add_row(most_peers + 1, "eve");
  CHECK(hand_driven<>(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE_METHOD(store_of_bob, "sqlite: a peer that is there twice is damage") {
  add_row(2, "bob");
  CHECK(hand_driven<>(file).open_error() == ilm::error::store_corrupt);
}

TEST_CASE_METHOD(store_of_bob, "sqlite: a peer with more bytes than cursors have is damage") {
  std::size_t more = GENERATE(0U, 1U);
  add_row(2, "eve", more);
  CHECK(hand_driven<>(file).open_error() ==
        (more == 0 ? std::error_code() : make_error_code(ilm::error::store_corrupt)));
}

TEST_CASE_METHOD(store_of_bob, "sqlite: a store whose last number is taken takes no new peer") {
  add_row(most_peers, "eve");
  hand_driven<> s(file);
  REQUIRE(s.open().peers.size() == 2);
  ilm::cursors eve = bob, zoe;
  CHECK(s.commit_error(append("zoe", zoe, {"x"})) == ilm::sqlite_error::too_many_peers);
  CHECK_FALSE(s.commit_error(append("eve", eve, {"2"})));
  CHECK_FALSE(s.commit_error(append("bob", bob, {"2"})));
}

TEST_CASE("sqlite: a change of a peer whose row is gone is damage, and nothing of it is stored") {
  temporary_directory place;
  std::filesystem::path file = place / "app.db";
  outsider(file, "PRAGMA journal_mode = WAL");
  ilm::sqlite_options o;
  o.table_prefix = "messages_";
  hand_driven<> s(file, o);
  s.open();
  ilm::cursors bob;
  s.commit(append("bob", bob, {"1"}));
  outsider(file, "DELETE FROM messages_peer");
  CHECK(s.commit_error(append("bob", bob, {"2"})) == ilm::error::store_corrupt);
  CHECK(outsider(file, "SELECT count(*) FROM messages_outbox") == "1");
}

TEST_CASE("sqlite: each cursor of a peer that moves is progress of the store") {
  using ilm::detail::mark_of_row;
  ilm::cursors c;
  std::uint64_t before = mark_of_row(1, c).progress;
  for (std::uint64_t* moved : {&c.outbox.next, &c.outbox.first, &c.inbox.next, &c.inbox.first}) {
    ++*moved;
    CHECK(mark_of_row(1, c).progress == ++before);
  }
  CHECK(mark_of_row(7, c).rows == 7);
}

TEST_CASE("sqlite: the keys that no message can have are all those between the peers'") {
  using keys = std::vector<std::pair<std::int64_t, std::int64_t>>;
  constexpr std::int64_t lowest = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t highest = std::numeric_limits<std::int64_t>::max();
  constexpr std::uint64_t turn = std::uint64_t{1} << 40;
  constexpr std::int64_t one = std::int64_t{1} << 40;
  ilm::detail::row_ranges known;
  auto gaps = [&] {
    keys all;
    known.for_each_gap([&](std::int64_t a, std::int64_t b) { all.emplace_back(a, b); });
    return all;
  };
  CHECK(gaps() == keys{{lowest, highest}});
  // Up to the last key of the first peer; the second has no message, the third begins at the key
  // after its first one, the fourth follows at once.
  known.add(1, 3, turn);
  known.add(2, 5, 5);
  CHECK(gaps() == keys{{lowest, one + 2}, {2 * one, highest}});
  known.add(2, 1, turn);
  CHECK(gaps() == keys{{lowest, one + 2}, {2 * one, 2 * one}, {3 * one, highest}});
  known.add(3, 0, turn);
  known.add(4, 2, 4);
  CHECK(
      gaps() ==
      keys{{lowest, one + 2}, {2 * one, 2 * one}, {4 * one, 4 * one + 1}, {4 * one + 4, highest}});
}

TEST_CASE(
    "sqlite: of a queue whose keys begin anew the key between its end and its begin is free") {
  std::vector<std::int64_t> free;
  constexpr std::uint64_t turn = std::uint64_t{1} << 40;
  ilm::detail::row_ranges known;
  known.add(1, 5, turn + 4);
  known.for_each_gap([&](std::int64_t a, std::int64_t b) {
    if (a == b) free.push_back(a);
  });
  CHECK(free == std::vector<std::int64_t>{(std::int64_t{1} << 40) + 4});
}
