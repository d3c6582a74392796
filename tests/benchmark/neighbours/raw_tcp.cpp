// A ceiling: Asio over TCP, messages with a length before them, as many in one write as there are,
// and acknowledgements by their number. Nothing is stored.
//
//   raw_tcp [--messages N] [--dir DIR]

#include "neighbour.hpp"

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/read.hpp>
#include <asio/write.hpp>

#include <algorithm>

namespace {

using namespace benchmark;
using asio::ip::tcp;

constexpr std::size_t frame_size = 4 + message_size;

void receive(tcp::socket& from, std::uint64_t messages) {
  std::vector<char> buffer(64 * 1024);
  std::size_t have = 0;
  for (std::uint64_t consumed = 0; consumed < messages;) {
    have += from.read_some(asio::buffer(buffer.data() + have, buffer.size() - have));
    std::size_t at = 0;
    for (std::uint32_t size = 0; have - at >= frame_size; at += 4 + size, ++consumed) {
      std::memcpy(&size, buffer.data() + at, 4);
      if (size != message_size) give_up("a frame of a wrong size");
    }
    std::copy(buffer.data() + at, buffer.data() + have, buffer.data());
    have -= at;
    asio::write(from, asio::buffer(&consumed, sizeof consumed));
  }
}

void send(tcp::socket& to, std::uint64_t messages) {
  std::vector<char> frames(in_flight * frame_size);
  const std::uint32_t size = message_size;
  for (std::size_t i = 0; i < in_flight; ++i) std::memcpy(&frames[i * frame_size], &size, 4);
  std::uint64_t sent = 0, confirmed = 0;
  while (confirmed < messages) {
    std::uint64_t room = std::min(confirmed + in_flight, messages) - sent;
    asio::write(to, asio::buffer(frames.data(), room * frame_size));
    sent += room;
    asio::read(to, asio::buffer(&confirmed, sizeof confirmed));
  }
}

}  // namespace

int main(int count, char** values) {
  settings s(count, values, 2'000'000);
  asio::io_context context;
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  child<bool> receiver([&](auto report) {
    tcp::socket from = acceptor.accept();
    from.set_option(tcp::no_delay(true));
    receive(from, s.messages);
    report(true);
    ::pause();
  });
  tcp::socket to(context);
  to.connect(acceptor.local_endpoint());
  to.set_option(tcp::no_delay(true));
  auto start = clock_type::now();
  send(to, s.messages);
  receiver.ask();
  print_rate("TCP alone (ceiling)", static_cast<double>(s.messages), seconds_since(start),
             "nothing: it is in memory");
}
