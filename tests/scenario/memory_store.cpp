#include "support/catch.hpp"

#include <ilm/backends/memory/store.hpp>

#include <memory>
#include <new>
#include <vector>

namespace {

bool copies_of_numbers_throw = false;

const ilm::detail::id_type number_ids{
    [](const void* a, const void* b) {
      return *static_cast<const int*>(a) < *static_cast<const int*>(b);
    },
    [](const void* id) -> std::shared_ptr<const void> {
      if (copies_of_numbers_throw) throw std::bad_alloc();
      return std::make_shared<const int>(*static_cast<const int*>(id));
    }};

}  // namespace

TEST_CASE("a batch that the memory store cannot take leaves the queues as they were") {
  using ilm::queue;
  auto disk = ilm::detail::make_memory_store(number_ids);
  auto lock = disk->lock();
  int known = 1, unknown = 2;
  std::vector<ilm::stored_message> one(1), none;
  ilm::cursors c;
  one[0].index = 1;
  ilm::detail::memory_batch first;
  first.changes.emplace_back(&known, c, one, one);
  disk->apply(first);
  one[0].index = 2;
  ilm::detail::memory_batch second;
  second.changes.emplace_back(&known, c, one, one);
  second.changes.emplace_back(&unknown, c, none, none);
  copies_of_numbers_throw = true;
  CHECK_THROWS_AS(disk->apply(second), std::bad_alloc);
  copies_of_numbers_throw = false;
  CHECK(disk->size(queue::outbox) == 1);
  CHECK(disk->size(queue::inbox) == 1);
  CHECK(disk->list().peers.size() == 1);
}
