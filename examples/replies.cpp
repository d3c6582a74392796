// A handler that replies: the reply is stored in the commit that consumes the question.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

using peer_id = std::string;
using memory_store = ilm::memory_backend<peer_id>;

asio::awaitable<void> run(asio::io_context& context) {
  ilm::memory_fabric<peer_id> network;
  memory_store bob_store;

  // [reply]
  auto reply = [](const ilm::message<peer_id>& m, ilm::delivery_context<peer_id>& delivery) {
    delivery.send_to(m.from, "You wrote: " + std::string(m.text()));
  };
  ilm::messenger bob(context, bob_store, network.join("bob"), reply);
  // [reply]

  ilm::inbox<peer_id> answers;
  ilm::messenger alice(context, memory_store(), network.join("alice"), answers);
  co_await alice.send_to("bob", "Hello, Bob.");
  ilm::message<peer_id> answer = co_await answers.receive();
  std::cout << answer.from << ": " << answer.text() << '\n';
  if (answer.text() != "You wrote: Hello, Bob.") throw std::runtime_error("another answer came");
  co_await answers.consume();
  co_await alice.shutdown(1s);
  co_await bob.shutdown(1s);
}

int main() try {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
} catch (const std::exception& e) {
  std::cerr << "replies: " << e.what() << '\n';
  return 1;
}
