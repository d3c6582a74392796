// A transport of one's own: UDP on this machine, where a peer is its port. A network delivers
// frames or drops them, and says when sessions begin and end: that is all it owes.

#include <ilm/ilm.hpp>

#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/udp.hpp>
#include <asio/redirect_error.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <iostream>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using asio::ip::udp;

// [network]
class udp_network {
 public:
  using peer_id = std::uint16_t;
  using event = ilm::network_event<peer_id>;

  /// UDP loses and reorders: ILM must retransmit.
  static constexpr bool reliable = false;

  explicit udp_network(asio::io_context& context) : socket_(context, address_of(0)) {}

  /// UDP cannot tell when a peer comes or goes. Says once that it is there; ILM's hellos and
  /// keepalive find out the rest.
  void add(peer_id peer) {
    peers_.insert(peer);
    news_.push_back(event::up(peer));
  }

  peer_id local_id() const { return socket_.local_endpoint().port(); }
  std::size_t maximum_frame_size() const { return 1200; }

  asio::awaitable<void> send(peer_id to, std::vector<std::byte> frame) {
    // A throw here, such as "connection refused", counts as the loss of the frame.
    co_await socket_.async_send_to(asio::buffer(frame), address_of(to), asio::use_awaitable);
  }

  asio::awaitable<event> receive() {
    if (!news_.empty()) {
      event next = std::move(news_.front());
      news_.pop_front();
      co_return next;
    }
    std::vector<std::byte> frame(maximum_frame_size());
    udp::endpoint from;
    std::error_code failed;
    std::size_t size = 0;
    do {
      size = co_await socket_.async_receive_from(asio::buffer(frame), from,
                                                 asio::redirect_error(asio::use_awaitable, failed));
      // Nobody listened where a frame of ours went: no end of the network. And ILM believes the
      // network about who a frame is from, so what strangers send stops here.
    } while (failed == asio::error::connection_refused ||
             (!failed && !peers_.contains(from.port())));
    if (failed) throw std::system_error(failed);
    frame.resize(size);
    co_return event::frame(from.port(), std::move(frame));
  }

 private:
  static udp::endpoint address_of(peer_id port) { return {asio::ip::address_v4::loopback(), port}; }

  udp::socket socket_;
  std::set<peer_id> peers_;
  std::deque<event> news_;
};
static_assert(ilm::network<udp_network>);
// [network]

using peer_id = udp_network::peer_id;

asio::awaitable<void> run(asio::io_context& context) {
  udp_network alice_network(context), bob_network(context);
  peer_id bob_id = bob_network.local_id();
  alice_network.add(bob_id);
  bob_network.add(alice_network.local_id());

  ilm::inbox<peer_id> alice_inbox, bob_inbox;
  ilm::memory_backend<peer_id> alice_store, bob_store;
  ilm::messenger alice(context, alice_store, std::move(alice_network), alice_inbox);
  ilm::messenger bob(context, bob_store, std::move(bob_network), bob_inbox);

  constexpr std::uint32_t count = 1000;
  for (std::uint32_t i = 0; i < count; ++i) co_await alice.send_to(bob_id, i);
  for (std::uint32_t i = 0; i < count; ++i) {
    ilm::message<peer_id> m = co_await bob_inbox.receive();
    if (m.as<std::uint32_t>() != i) throw std::runtime_error("a message is out of order");
  }
  co_await bob_inbox.consume();
  std::cout << count << " messages over UDP, in order\n";
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
  std::cerr << "own_network: " << e.what() << '\n';
  return 1;
}
