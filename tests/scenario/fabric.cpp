// The network in memory by itself.

#include "support/catch.hpp"

#include <ilm/networks/memory.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace {

using named_network = ilm::memory_network<std::string>;

std::vector<std::byte> frame_of(char c) { return {static_cast<std::byte>(c)}; }

asio::awaitable<void> first_frame(named_network& n, std::optional<std::vector<std::byte>>& found) {
  while (!found) {
    ilm::network_event<std::string> e = co_await n.receive();
    if (e.kind == ilm::network_event_type::frame) found = std::move(e.bytes);
  }
}

}  // namespace

TEST_CASE("a network whose name was taken by another sends nothing in it") {
  asio::io_context context;
  ilm::memory_fabric<std::string> fabric;
  named_network earlier = fabric.join("alice"), bob = fabric.join("bob");
  named_network alice = fabric.join("alice");
  const std::string receiver = "bob";
  asio::co_spawn(context, earlier.send(receiver, frame_of('e')), asio::detached);
  asio::co_spawn(context, alice.send(receiver, frame_of('a')), asio::detached);
  std::optional<std::vector<std::byte>> found;
  asio::co_spawn(context, first_frame(bob, found), asio::detached);
  context.run();
  CHECK(found == frame_of('a'));
  CHECK(fabric.counts().sent == 1);
}
