#include "support/catch.hpp"
#include "support/kits.hpp"
#include "support/tcp.hpp"

#include <ilm/networks/tcp_psk.hpp>
#include <ilm/testing/network_kit.hpp>

using namespace test;
using ilm::testing::network_clause;

namespace {

/// Networks that listen on free ports of this machine and dial each other.
struct tcp_factory {
  tcp_factory(asio::io_context& c, ilm::tcp_options o) : context(c), options(std::move(o)) {}

  ilm::tcp_network<> operator()(unsigned place) {
    ilm::tcp_network<> made(context, "peer " + std::to_string(place), options);
    made.listen("127.0.0.1:0");
    return made;
  }
  void introduce(ilm::tcp_network<>& a, ilm::tcp_network<>& b) {
    b.add_peer(a.local_id(), "127.0.0.1:" + std::to_string(a.port()));
  }
  void cut(ilm::tcp_network<>& a, ilm::tcp_network<>& b) {
    b.remove_peer(a.local_id());
    a.remove_peer(b.local_id());
  }
  void restore(ilm::tcp_network<>& a, ilm::tcp_network<>& b) { introduce(b, a); }

  asio::io_context& context;
  ilm::tcp_options options;
};

}  // namespace

TEST_CASE("tcp_network keeps its contract", "[tcp]") {
  asio::io_context context;
  tcp_factory factory(context, tcp::quick());
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}

TEST_CASE("tcp_network keeps its contract with keys", "[tcp]") {
  asio::io_context context;
  ilm::tcp_options o = tcp::quick();
  o.prove = ilm::pre_shared_key("correct horse battery staple");
  tcp_factory factory(context, o);
  CHECK(ilm::testing::try_network(context, factory, fail_if_broken<network_clause>));
}
