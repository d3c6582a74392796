// Two peers over the in-memory network: one sends before the other is there.

// [first]
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <iostream>
// [first]
#include <stdexcept>
// [first]
#include <string>

asio::awaitable<void> run(asio::io_context& context) {
  ilm::memory_fabric<std::string> network;                  // or your transport
  ilm::memory_backend<std::string> alice_store, bob_store;  // or your database
  ilm::inbox<std::string> alice_inbox, bob_inbox;           // or your handler

  ilm::messenger alice(context, alice_store, network.join("alice"), alice_inbox);
  co_await alice.send_to("bob", "Hello, Bob.");  // Bob is not there: the store has the message

  ilm::messenger bob(context, bob_store, network.join("bob"), bob_inbox);
  ilm::message<std::string> m = co_await bob_inbox.receive();
  std::cout << m.from << ": " << m.text() << '\n';
  // [first]
  if (m.text() != "Hello, Bob.") throw std::runtime_error("the message is not the one sent");
  // [first]

  co_await bob_inbox.consume();                      // Bob is done with it
  co_await alice.wait_delivered("bob", m.sequence);  // and Alice knows
}

int main() {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
}
// [first]
