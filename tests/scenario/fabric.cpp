// The network in memory by itself.

#include "support/catch.hpp"
#include "support/poor_executor.hpp"

#include <ilm/networks/memory.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <memory>
#include <new>
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

/// Until the fabric ends.
asio::awaitable<void> all_kinds(named_network& n, std::vector<ilm::network_event_type>& kinds) {
  for (;;) {
    ilm::network_event<std::string> e = co_await n.receive();
    kinds.push_back(e.kind);
  }
}

/// The first frame that comes in a session, of which one is from the session before it.
char first_frame_of_two_sessions(asio::io_context& context, named_network& from, named_network& to,
                                 ilm::memory_fabric<std::string>& fabric) {
  const std::string receiver = to.local_id();
  asio::co_spawn(context, from.send(receiver, frame_of('f')), asio::detached);
  context.run();
  fabric.connect(from.local_id(), receiver);
  std::optional<std::vector<std::byte>> found;
  asio::co_spawn(context, from.send(receiver, frame_of('n')), asio::detached);
  asio::co_spawn(context, first_frame(to, found), asio::detached);
  context.restart();
  context.run();
  return found ? static_cast<char>(found->front()) : '-';
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

TEST_CASE("a place in a fabric is left when another is assigned to it") {
  asio::io_context context;
  ilm::memory_fabric<std::string> fabric, elsewhere;
  named_network alice = fabric.join("alice"), bob = fabric.join("bob");
  std::vector<ilm::network_event_type> kinds;
  asio::co_spawn(context, all_kinds(bob, kinds), asio::detached);
  context.poll();
  alice = elsewhere.join("alice");
  context.restart();
  context.poll();
  using type = ilm::network_event_type;
  CHECK(kinds == std::vector<type>{type::up, type::down});
  CHECK(alice.local_id() == "alice");
}

TEST_CASE("a frame under way when a session ends is lost, or arrives late if that is asked for") {
  using namespace std::chrono_literals;
  bool late = GENERATE(false, true);
  CAPTURE(late);
  asio::io_context context;  // it outlives the networks, whose timers it has
  ilm::memory_fabric<std::string> fabric;
  ilm::faults faults;
  faults.delay = 10ms;
  faults.late_frames = late;
  fabric.set_faults(faults);
  named_network alice = fabric.join("alice"), bob = fabric.join("bob");
  CHECK(first_frame_of_two_sessions(context, alice, bob, fabric) == (late ? 'f' : 'n'));
  CHECK(fabric.counts().sent == 2);
  CHECK(fabric.counts().arrived == 1);
  CHECK(fabric.counts().lost == (late ? 0 : 1));
}

TEST_CASE("a fabric that connects two peers again ends their session and begins another") {
  using type = ilm::network_event_type;
  bool cut = GENERATE(false, true);
  asio::io_context context;
  ilm::memory_fabric<std::string> fabric;
  named_network alice = fabric.join("alice"), bob = fabric.join("bob");
  if (cut) fabric.disconnect("alice", "bob");
  fabric.connect("alice", "bob");
  fabric.connect("bob", "alice");
  std::vector<type> of_alice, of_bob;
  asio::co_spawn(context, all_kinds(alice, of_alice), asio::detached);
  asio::co_spawn(context, all_kinds(bob, of_bob), asio::detached);
  context.poll();
  const std::vector<type> expected{type::up, type::down, type::up, type::down, type::up};
  CHECK(of_alice == expected);
  CHECK(of_bob == expected);
}

TEST_CASE("a receiver of a fabric that is about to wait is woken by what came after its look") {
  asio::io_context context;
  const std::string alice = "alice", bob = "bob";
  std::shared_ptr<ilm::detail::fabric> fabric = ilm::detail::make_fabric(
      ilm::detail::id_functions<std::string>::type, ilm::detail::steady_fabric_clock(), 1, 1000);
  std::shared_ptr<ilm::detail::endpoint> place = fabric->join(&bob);
  ilm::detail::fabric_event next;
  REQUIRE_FALSE(place->take(next));
  fabric->inject(&alice, &bob, frame_of('f'));
  const asio::any_io_executor executor = context.get_executor();
  bool woken = false;
  asio::co_spawn(context, place->wait(executor), [&](const std::exception_ptr&) { woken = true; });
  context.poll();
  CHECK(woken);
  CHECK(place->take(next));
}

TEST_CASE("a receiver without memory keeps no peer from a fabric, nor in it") {
  using type = ilm::network_event_type;
  asio::io_context context;
  auto refusals = std::make_shared<int>(0);
  test::poor_executor executor(context.get_executor(), refusals);
  ilm::memory_fabric<std::string> fabric;
  auto a = std::make_unique<named_network>(fabric.join("a"));
  std::vector<type> kinds;
  asio::co_spawn(executor, all_kinds(*a, kinds), asio::detached);
  context.poll();
  *refusals = 1;
  CHECK_THROWS_AS(fabric.join("b"), std::bad_alloc);
  named_network b = fabric.join("b");
  context.restart();
  context.poll();
  CHECK(kinds == std::vector<type>{type::up, type::down, type::up});
  *refusals = 1;
  a.reset();
  CHECK(*refusals == 0);
}
