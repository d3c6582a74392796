#include "support/catch.hpp"
#include "support/receive_race.hpp"

#include <ilm/networks/memory.hpp>

#include <asio/executor_work_guard.hpp>

TEST_CASE("a frame that comes with the cancellation of a receive stays for the next: fabric") {
  asio::io_context c;
  auto work = asio::make_work_guard(c);
  ilm::memory_fabric<std::string> fabric;
  auto a = fabric.join("a"), b = fabric.join("b");
  for (std::size_t handlers = 0; handlers < 40; ++handlers) test::race(c, a, b, handlers);
}
