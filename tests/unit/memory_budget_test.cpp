#include "support/catch.hpp"

#include <ilm/runtime/memory_budget.hpp>

#include <array>
#include <cstddef>

namespace {

struct holder {
  ilm::runtime::memory_account memory;
};

using budget = ilm::runtime::memory_budget<holder>;

ilm::options limit(std::size_t bytes) {
  ilm::options o;
  o.memory_limit = bytes;
  return o;
}

ilm::protocol::memory_use use(std::size_t held, std::size_t releasable, std::size_t unstored = 0) {
  ilm::protocol::memory_use m;
  m.held = held;
  m.releasable = releasable;
  m.unstored = unstored;
  return m;
}

}  // namespace

TEST_CASE("nobody lets go of messages while all together keep to the limit") {
  std::array<holder, 2> all;
  budget b(limit(1000));
  b.update(all[0], use(600, 500));
  b.update(all[1], use(400, 400));
  CHECK(b.held() == 1000);
  CHECK(b.next_to_release() == nullptr);
}

TEST_CASE("the peer that can let go of most is the one to do so, until the limit is kept") {
  std::array<holder, 4> all;
  budget b(limit(1000));
  b.update(all[0], use(200, 200));
  b.update(all[1], use(900, 800));
  b.update(all[2], use(300, 300));
  b.update(all[3], use(50, 40));
  REQUIRE(b.next_to_release() == &all[1]);
  b.update(all[1], use(500, 400));
  REQUIRE(b.held() == 1050);
  REQUIRE(b.next_to_release() != nullptr);
  b.update(all[1], use(100, 0));
  CHECK(b.held() == 650);
  CHECK(b.next_to_release() == nullptr);
}

TEST_CASE("a peer lets go of no less than half of what any other could") {
  std::array<holder, 100> all;
  budget b(limit(1));
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::size_t size = (i * 37) % 101 + 1;
    b.update(all[i], use(size, size));
  }
  while (holder* h = b.next_to_release()) {
    std::size_t size = h->memory.use.releasable;
    for (const holder& other : all) CHECK(2 * size > other.memory.use.releasable);
    b.update(*h, {});
  }
  CHECK(b.held() <= 1);
}

TEST_CASE("a peer that can let go of nothing is not asked, however much all hold") {
  std::array<holder, 2> all;
  budget b(limit(1000));
  b.update(all[0], use(5000, 0));
  CHECK(b.next_to_release() == nullptr);
  b.update(all[1], use(10, 10));
  CHECK(b.next_to_release() == &all[1]);
}

TEST_CASE("a peer that is gone takes nothing, and its place in a list is given to another") {
  std::array<holder, 3> all;
  budget b(limit(100));
  for (holder& h : all) b.update(h, use(500, 500, 500));
  b.reserve(all[0], 50);
  b.remove(all[0]);
  CHECK(b.held() == 1000);
  b.remove(all[2]);
  CHECK(b.next_to_release() == &all[1]);
  b.remove(all[1]);
  CHECK(b.held() == 0);
  CHECK(b.has_room_for_unstored());
  CHECK(b.next_to_release() == nullptr);
}

TEST_CASE("messages that the store does not have may take a quarter of the limit") {
  std::array<holder, 2> all;
  budget b(limit(1000));
  b.update(all[0], use(249, 0, 249));
  CHECK(b.has_room_for_unstored());
  b.update(all[1], use(500, 0, 1));
  CHECK_FALSE(b.has_room_for_unstored());
  b.update(all[0], use(249, 249, 0));
  CHECK(b.has_room_for_unstored());
}

TEST_CASE("peers whose messages the store refuses have a quarter of the limit for themselves") {
  std::array<holder, 3> all;
  budget b(limit(1000));
  b.update(all[0], use(200, 0, 200), true);
  CHECK(b.has_room_for_unstored());
  b.update(all[1], use(240, 0, 240));
  CHECK(b.has_room_for_unstored(all[0]));
  b.update(all[0], use(260, 0, 260), true);
  CHECK_FALSE(b.has_room_for_unstored(all[0]));
  CHECK(b.has_room_for_unstored(all[1]));
  CHECK(b.has_room_for_unstored(all[2]));
  // The store takes them again: they count with the others.
  b.update(all[0], use(260, 0, 260), false);
  CHECK_FALSE(b.has_room_for_unstored(all[0]));
  CHECK_FALSE(b.has_room_for_unstored());
  b.remove(all[0]);
  CHECK(b.has_room_for_unstored());
}

TEST_CASE("pages of all peers that hold anything take no more than half of the limit") {
  std::array<holder, 10> all;
  budget b(limit(1000));
  CHECK(b.reserve(all[0], 80) == 80);
  CHECK(b.held() == 80);
  for (std::size_t i = 1; i < all.size(); ++i) b.update(all[i], use(1, 0));
  CHECK(b.reserve(all[1], 80) == 50);
  CHECK(b.reserve(all[1], 80) == 50);
  b.handle_page_read(all[1], 50);
  b.handle_page_read(all[1], 50);
  b.handle_page_read(all[0], 80);
  CHECK(b.held() == 9);
}

TEST_CASE("a page has room for a message, though the limit has none") {
  std::array<holder, 3> all;
  budget b(limit(4));
  for (holder& h : all) b.update(h, use(100, 0));
  CHECK(b.reserve(all[0], 80) == 1);
}

TEST_CASE("without a limit nothing leaves memory, and nothing is kept out of it") {
  holder h;
  budget b(limit(0));
  b.update(h, use(std::size_t{1} << 30, std::size_t{1} << 30, std::size_t{1} << 29));
  CHECK(b.next_to_release() == nullptr);
  CHECK(b.has_room_for_unstored());
  CHECK(b.reserve(h, 1 << 20) == 1 << 20);
}
