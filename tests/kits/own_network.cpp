#include "support/catch.hpp"
#include "support/kits.hpp"

#include <ilm/testing/network_kit.hpp>

// The example, whole, for its network; its main is nobody's here, and needs no return.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wreturn-type"
#define main main_of_own_network
#include "../../examples/own_network.cpp"
#undef main
#pragma GCC diagnostic pop

namespace {

// [kit]
struct udp_networks {
  static constexpr bool tells_presence = false;

  udp_network operator()(unsigned) { return udp_network(context); }
  void introduce(udp_network& a, udp_network& b) {
    a.add(b.local_id());
    b.add(a.local_id());
  }

  asio::io_context& context;
};

// [kit]

}  // namespace

TEST_CASE("the network that the examples show keeps its contract") {
  // [kit]
  asio::io_context context;
  udp_networks factory{context};
  auto report = test::fail_if_broken<ilm::testing::network_clause>;
  bool kept{ilm::testing::try_network(context, factory, report)};
  // [kit]
  CHECK(kept);
}
