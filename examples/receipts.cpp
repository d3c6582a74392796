// Receipts: `send_to` says that a message is safe, `delivered` that the other application has it. A
// receipt can be requested by sequence, also after a restart of the sender.

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <system_error>

using namespace std::chrono_literals;

using peer_id = std::string;
using fabric = ilm::memory_fabric<peer_id>;
using memory_store = ilm::memory_backend<peer_id>;

/// Sends while the receiver is absent, and ends.
asio::awaitable<std::uint64_t> send(asio::io_context& context, memory_store kept, fabric network) {
  ilm::messenger alice(context, kept, network.join("alice"), ilm::inbox<peer_id>());
  std::uint64_t sequence = co_await alice.send_to("bob", "Are you there?");
  std::cout << "message " << sequence << " is stored\n";
  co_return sequence;
}

asio::awaitable<void> run(asio::io_context& context) {
  fabric network;
  memory_store kept;
  std::uint64_t sequence = co_await send(context, kept, network);

  // [receipt]
  // A new messenger on the same store knows what the old one sent.
  ilm::messenger alice(context, kept, network.join("alice"), ilm::inbox<peer_id>());
  ilm::inbox<peer_id> inbox;
  ilm::messenger bob(context, memory_store(), network.join("bob"), inbox);

  ilm::message<peer_id> m = co_await inbox.receive();
  if (m.sequence != sequence) throw std::runtime_error("another message arrived");
  co_await inbox.consume();
  co_await alice.wait_delivered("bob", sequence);
  std::cout << "message " << sequence << " is with Bob's application\n";
  // [receipt]

  // There is no receipt for a sequence that was never assigned.
  try {
    co_await alice.wait_delivered("bob", sequence + 1);
    throw std::runtime_error("a receipt for nothing");
  } catch (const std::system_error& e) {
    if (e.code() != ilm::error::unknown_sequence) throw;
    std::cout << "message " << sequence + 1 << ": " << e.code().message() << '\n';
  }
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
  std::cerr << "receipts: " << e.what() << '\n';
  return 1;
}
