#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/backends/memory.hpp>
#include <ilm/testing/backend_kit.hpp>

#include <map>

using namespace test;
using ilm::testing::backend_clause;

TEST_CASE("memory_backend keeps its contract") {
  asio::io_context context;
  std::map<unsigned, ilm::memory_backend<std::string>> stores;
  auto factory = [&](unsigned n) { return stores[n]; };
  CHECK(ilm::testing::try_backend(context, factory, tell<backend_clause>));
}
