// Values beside the contents of a message: headers, and the time of sending.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

asio::awaitable<void> run(asio::io_context& context) {
  using peer_id = std::string;
  ilm::memory_fabric<peer_id> fabric;
  ilm::inbox<peer_id> relay_inbox, bob_inbox;
  ilm::memory_backend<peer_id> alice_store, relay_store, bob_store;
  ilm::messenger alice(context, alice_store, fabric.join("alice"), ilm::inbox<peer_id>());
  ilm::messenger relay(context, relay_store, fabric.join("relay"), relay_inbox);
  ilm::messenger bob(context, bob_store, fabric.join("bob"), bob_inbox);

  // [send]
  ilm::send_options with;
  with.headers = {{"content-type", "text/plain"},
                  {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}};
  co_await alice.send_to("relay", "hello", with);
  // [send]

  // [forward]
  ilm::received<peer_id> m = co_await relay_inbox.receive();
  ilm::send_options onwards;
  onwards.forwarded = m.attributes;
  onwards.headers = {{"via", "relay"}};
  m.context.send_to("bob", m.contents, onwards);
  co_await relay_inbox.consume();  // with what was sent through the context, in one commit
  // [forward]

  ilm::message<peer_id> last = co_await bob_inbox.receive();
  for (const ilm::header& h : last.attributes.headers()) {
    std::cout << h.key << ": " << h.value.text() << '\n';
  }
  std::cout << '\n' << last.text() << '\n';
  if (last.attributes.header_text("content-type") != "text/plain" ||
      last.attributes.header_text("via") != "relay") {
    throw std::runtime_error("a header is missing");
  }
  co_await bob_inbox.consume();
  co_await alice.shutdown(1s);
  co_await relay.shutdown(1s);
  co_await bob.shutdown(1s);
}

int main() try {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
} catch (const std::exception& e) {
  std::cerr << "headers: " << e.what() << '\n';
  return 1;
}
