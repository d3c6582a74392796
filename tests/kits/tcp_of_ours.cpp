#include "listening_networks.hpp"
#include "support/catch.hpp"
#include "support/kits.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp_psk.hpp>
#include <ilm/testing/network_kit.hpp>

using namespace test;
using ilm::testing::network_clause;

TEST_CASE("tcp_network keeps its contract", "[tcp]") {
  asio::io_context context;
  listening_networks<ilm::tcp_network<>, ilm::tcp_options> factory(context, tcp::quick());
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}

TEST_CASE("tcp_network keeps its contract with keys", "[tcp]") {
  asio::io_context context;
  ilm::tcp_options o = tcp::quick();
  o.prove = ilm::pre_shared_key("correct horse battery staple");
  listening_networks<ilm::tcp_network<>, ilm::tcp_options> factory(context, o);
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}
