// The events of a messenger while a session is cut, the receiver crashes and a store is lost. Bob's
// application reads on as if nothing had happened; Alice's gets an event for each.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

using namespace std::chrono_literals;

using peer_id = std::string;
using fabric = ilm::memory_fabric<peer_id>;
using memory_store = ilm::memory_backend<peer_id>;
using messenger = ilm::messenger<memory_store, fabric::network_type, ilm::inbox<peer_id>>;

// [events]
/// Prints events until one of this kind.
asio::awaitable<void> wait_for(messenger& alice, ilm::event_kind kind) {
  for (;;) {
    ilm::event<peer_id> e = co_await alice.next_event();
    std::cout << "  " << describe(e) << '\n';
    if (e.kind == kind) co_return;
  }
}
// [events]

asio::awaitable<void> expect(ilm::inbox<peer_id>& inbox, std::string text) {
  ilm::message<peer_id> m = co_await inbox.receive();
  std::cout << "Bob reads: " << m.text() << '\n';
  if (m.text() != text) throw std::runtime_error("Bob expected: " + text);
  co_await inbox.consume();
}

asio::awaitable<void> run(asio::io_context& context) {
  using enum ilm::event_kind;
  fabric network;
  memory_store bob_store;
  ilm::inbox<peer_id> inbox;
  messenger alice(context, memory_store(), network.join("alice"), ilm::inbox<peer_id>());
  std::optional<messenger> bob(std::in_place, context, bob_store, network.join("bob"), inbox);

  std::cout << "A session\n";
  co_await wait_for(alice, peer_connected);
  co_await alice.send_to("bob", "one");
  co_await expect(inbox, "one");

  std::cout << "The session is cut, and comes back\n";
  network.disconnect("alice", "bob");
  co_await wait_for(alice, peer_disconnected);
  co_await alice.send_to("bob", "two");
  network.connect("alice", "bob");
  co_await wait_for(alice, peer_connected);
  co_await expect(inbox, "two");
  co_await alice.wait_delivered("bob", 2);

  std::cout << "Bob crashes, and comes back with his store\n";
  bob.reset();
  co_await wait_for(alice, peer_disconnected);
  co_await alice.send_to("bob", "three");
  bob.emplace(context, bob_store, network.join("bob"), inbox);
  co_await wait_for(alice, peer_connected);
  co_await expect(inbox, "three");
  co_await alice.wait_delivered("bob", 3);

  std::cout << "Bob crashes, and comes back without his store\n";
  bob.reset();
  co_await wait_for(alice, peer_disconnected);
  co_await alice.send_to("bob", "four");
  bob.emplace(context, memory_store(), network.join("bob"), inbox);
  co_await wait_for(alice, peer_reset);
  co_await expect(inbox, "four");

  co_await alice.shutdown(1s);
  co_await bob->shutdown(1s);
}

int main() try {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
} catch (const std::exception& e) {
  std::cerr << "reconnect: " << e.what() << '\n';
  return 1;
}
