#include "listening_networks.hpp"
#include "support/catch.hpp"
#include "support/kits.hpp"
#include "support/tcp.hpp"
#include "support/websocket.hpp"

#include <ilm/networks/tcp_psk.hpp>
#include <ilm/testing/network_kit.hpp>

using namespace test;
using ilm::testing::network_clause;

TEST_CASE("websocket_network keeps its contract", "[websocket]") {
  asio::io_context context;
  listening_networks<ilm::websocket_network<>, ilm::websocket_options> factory(context,
                                                                               quick_websocket());
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}

TEST_CASE("websocket_network keeps its contract with keys", "[websocket]") {
  asio::io_context context;
  ilm::websocket_options o = quick_websocket();
  o.prove = ilm::pre_shared_key("correct horse battery staple");
  listening_networks<ilm::websocket_network<>, ilm::websocket_options> factory(context, o);
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}
