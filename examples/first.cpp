// Two peers, one message each way, over the in-memory network.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <iostream>
#include <string>

using namespace std::chrono_literals;

asio::awaitable<void> run(asio::io_context& context) {
  ilm::memory_fabric<std::string> fabric;
  ilm::inbox<std::string> alice_box, bob_box;
  ilm::memory_backend<std::string> alice_store, bob_store;
  ilm::messenger alice(context, alice_store, fabric.join("alice"), alice_box);
  ilm::messenger bob(context, bob_store, fabric.join("bob"), bob_box);

  co_await alice.send_to("bob", "Hello, Bob.");
  ilm::message<std::string> to_bob = co_await bob_box.receive();
  std::cout << to_bob.from << ": " << to_bob.text() << '\n';

  co_await bob.send_to(to_bob.from, "Hello, Alice.");
  ilm::message<std::string> to_alice = co_await alice_box.receive();
  std::cout << to_alice.from << ": " << to_alice.text() << '\n';

  bool right = to_bob.text() == "Hello, Bob." && to_alice.text() == "Hello, Alice.";
  if (!right) throw std::runtime_error("the messages are not what was sent");
  co_await alice.shutdown(1s);
  co_await bob.shutdown(1s);
}

int main() {
  asio::io_context context;
  std::exception_ptr failed;
  asio::co_spawn(context, run(context), [&](std::exception_ptr e) { failed = e; });
  context.run();
  if (failed) std::rethrow_exception(failed);
}
