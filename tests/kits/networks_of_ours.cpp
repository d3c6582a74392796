#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/codecs/bytes.hpp>
#include <ilm/networks/memory.hpp>
#include <ilm/testing/network_kit.hpp>
#include <ilm/testing/simulated_clock.hpp>

using namespace test;
using ilm::testing::network_clause;
using ilm::testing::try_network;

// The networks that need nothing but memory.

namespace {

using simulated = ilm::testing::simulated_clock;

/// A fabric with all members that the kit can use.
template <class Clock, bool Reliable>
struct fabric_factory {
  using fabric_type = ilm::memory_fabric<std::string, Clock, Reliable>;
  using network = typename fabric_type::network_type;

  network operator()(unsigned place) { return fabric.join("peer " + std::to_string(place)); }
  void cut(network& a, network& b) { fabric.disconnect(a.local_id(), b.local_id()); }
  void restore(network& a, network& b) { fabric.connect(a.local_id(), b.local_id()); }
  void end(network& n) { fabric.end(n.local_id()); }

  fabric_type fabric;
};

}  // namespace

TEST_CASE("memory_network keeps its contract when it is reliable") {
  asio::io_context context;
  fabric_factory<std::chrono::steady_clock, true> factory;
  auto summary = try_network(context, factory, fail_if_broken<network_clause>);
  CHECK(summary);
  CHECK(summary.skipped == 1);  // no send waits
}

TEST_CASE("memory_network keeps its contract when it loses, repeats and reorders") {
  simulated::reset();
  asio::io_context context;
  {
    fabric_factory<simulated, false> factory;
    ilm::faults f;
    f.loss = f.repetition = f.reordering = 0.3;
    f.delay = std::chrono::milliseconds(5);
    factory.fabric.set_faults(f);
    CHECK(try_network<simulated>(context, factory, fail_if_broken<network_clause>));
  }
  simulated::reset();
}
