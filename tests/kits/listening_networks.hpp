#pragma once

#include <asio/io_context.hpp>

#include <string>
#include <utility>

namespace test {

/// Networks of streams that listen on free ports of this machine and dial each other.
template <class Network, class Options>
struct listening_networks {
  listening_networks(asio::io_context& c, Options o) : context(c), options(std::move(o)) {}

  Network operator()(unsigned place) {
    Network made(context, "peer " + std::to_string(place), options);
    made.listen("127.0.0.1:0");
    return made;
  }
  void introduce(Network& a, Network& b) {
    b.add_peer(a.local_id(), "127.0.0.1:" + std::to_string(a.port()));
  }
  void cut(Network& a, Network& b) {
    b.remove_peer(a.local_id());
    a.remove_peer(b.local_id());
  }
  void restore(Network& a, Network& b) { introduce(b, a); }

  asio::io_context& context;
  Options options;
};

}  // namespace test
