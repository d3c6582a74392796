// A graceful shutdown: messages to present peers are delivered, the others stay in the store, and
// the report counts both. One of the two peers is absent.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

using peer_id = std::string;

void require(bool right, const char* what) {
  if (!right) throw std::runtime_error(what);
}

asio::awaitable<void> run(asio::io_context& context) {
  ilm::memory_fabric<peer_id> network;
  ilm::memory_backend<peer_id> store;
  unsigned consumed = 0;
  // A delivery may be a callable.
  auto count = [&consumed](const ilm::message<peer_id>&) { ++consumed; };
  ilm::messenger alice(context, store, network.join("alice"), ilm::inbox<peer_id>());
  ilm::messenger bob(context, ilm::memory_backend<peer_id>(), network.join("bob"), count);

  for (int i = 0; i < 100; ++i) co_await alice.send_to("bob", "for you");
  for (int i = 0; i < 3; ++i) co_await alice.send_to("carol", "for when you come");

  // [report]
  // Waits up to five seconds for Bob, and not at all for Carol, who has no session.
  ilm::shutdown_report<peer_id> report = co_await alice.shutdown(5s);
  for (const auto& peer : report.peers) {
    std::cout << peer.peer << ": " << peer.delivered << " delivered, " << peer.undelivered
              << " left in the store\n";
  }
  // [report]
  require(consumed == 100 && report.delivered == 100, "Bob lacks messages");
  require(report.undelivered == 3 && store.size(ilm::queue::outbox) == 3, "Carol's are not there");
  require(!report.complete(), "the report is too good to be true");

  // From now on it accepts no sends, and says so.
  try {
    co_await alice.send_to("bob", "one more");
    require(false, "a send was accepted after the shutdown");
  } catch (const std::system_error& e) {
    if (e.code() != ilm::error::shut_down) throw;
    std::cout << e.code().message() << '\n';
  }
  // Asked again, it reports the same.
  report = co_await alice.shutdown(0s);
  require(report.undelivered == 3, "the second report differs from the first");
  co_await bob.shutdown(1s);
}

int main() try {
  asio::io_context context;
  asio::co_spawn(context, run(context), [](std::exception_ptr e) {
    if (e) std::rethrow_exception(e);
  });
  context.run();
} catch (const std::exception& e) {
  std::cerr << "shutdown: " << e.what() << '\n';
  return 1;
}
