#include "support/catch.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/backends/memory/store.hpp>
#include <ilm/codecs/bytes.hpp>
#include <ilm/error.hpp>

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <utility>
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

namespace {

using memory_handle = ilm::memory_backend<std::string>;

/// The error of an operation of a handle, run to its end; none if it succeeds.
template <class Result>
std::error_code error_of_handle(asio::awaitable<Result> operation) {
  asio::io_context context;
  std::error_code why;
  auto ended = [&why](const std::exception_ptr& e, const auto&...) {
    try {
      if (e) std::rethrow_exception(e);
    } catch (const std::system_error& failed) {
      why = failed.code();
    }
  };
  asio::co_spawn(context, std::move(operation), ended);
  context.run();
  return why;
}

std::error_code read_error_of(memory_handle& h) {
  const std::string peer = "b";
  return error_of_handle(h.read(ilm::queue::outbox, peer, 1, ilm::page_limit(1, 1)));
}

}  // namespace

TEST_CASE("a handle of a memory store that is moved or assigned takes along that it is open") {
  memory_handle first, other = first;
  REQUIRE_FALSE(error_of_handle(first.open()));
  memory_handle moved = std::move(first);
  CHECK_FALSE(read_error_of(moved));
  memory_handle assigned;
  assigned = std::move(moved);
  CHECK_FALSE(read_error_of(assigned));
  CHECK(error_of_handle(other.open()) == ilm::error::store_in_use);
  // A copy is a handle that is not open; the one before lets go of the store.
  SECTION("another store is assigned") { assigned = memory_handle(); }
  SECTION("a handle that is not open is assigned") { assigned = memory_handle(other); }
  SECTION("it ends") { memory_handle last = std::move(assigned); }
  CHECK(read_error_of(assigned) == ilm::error::store_closed);
  CHECK_FALSE(error_of_handle(other.open()));
  CHECK_FALSE(read_error_of(other));
}
