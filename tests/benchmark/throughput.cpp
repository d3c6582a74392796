// One-way throughput of 100-byte messages between two in-memory peers, on one thread.
//
//   throughput [--messages N] [--senders N] [--smoke]

#include "support.hpp"

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string>

namespace {

using namespace benchmark;

struct counter {
  std::uint64_t expected = 0;
  std::uint64_t wrong = 0;
  clock_type::time_point done;
};

/// Sends its share, one message after another.
template <class Messenger>
asio::awaitable<void> send(Messenger& from, std::uint64_t count) {
  const ilm::bytes contents(std::string(100, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to(2, contents);
}

double measure(std::uint64_t messages, std::uint64_t senders) {
  asio::io_context context(1);
  ilm::memory_fabric<int> fabric;
  counter seen;
  auto consume = [&](ilm::message<int> m) {
    if (m.sequence != ++seen.expected) ++seen.wrong;
    if (seen.expected == messages) {
      seen.done = clock_type::now();
      context.stop();
    }
  };
  ilm::messenger a(context, ilm::memory_backend<int>(), fabric.join(1), [](ilm::message<int>) {});
  ilm::messenger b(context, ilm::memory_backend<int>(), fabric.join(2), consume);
  auto start = clock_type::now();
  for (std::uint64_t i = 0; i < senders; ++i) {
    asio::co_spawn(context, send(a, messages / senders), asio::detached);
  }
  context.run();
  if (seen.expected != messages || seen.wrong != 0) {
    std::cerr << "only " << seen.expected << " messages, " << seen.wrong << " out of order\n";
    std::exit(1);
  }
  return static_cast<double>(messages) / std::chrono::duration<double>(seen.done - start).count();
}

}  // namespace

int main(int count, char** values) {
  arguments a(count, values);
  std::uint64_t messages = a.number("--messages", a.has("--smoke") ? 20'000 : 2'000'000);
  std::uint64_t senders = a.number("--senders", 1000);
  messages -= messages % senders;
  double rate = measure(messages, senders);
  std::cout << messages << " messages of 100 bytes from " << senders
            << " coroutines: " << static_cast<std::uint64_t>(rate) << " messages/s\n";
}
