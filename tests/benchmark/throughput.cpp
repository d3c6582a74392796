// One-way throughput between two in-memory peers, on one thread.
//
//   throughput [--messages N] [--size N] [--senders N] [--smoke] [--table]
//
// With --table it prints lines for report.cpp, with the times of all messages.

#include "latency.hpp"

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
asio::awaitable<void> send(Messenger& from, std::uint64_t count, std::uint64_t size) {
  const ilm::bytes contents(std::string(size, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to(2, contents);
}
template <class Messenger>
asio::awaitable<void> send_stamped(Messenger& from, std::uint64_t count, std::uint64_t size) {
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to(2, stamped(size));
}

/// `took`: null where the times do not matter.
double measure(std::uint64_t messages, std::uint64_t senders, std::uint64_t size, latencies* took) {
  asio::io_context context(1);
  ilm::memory_fabric<int> fabric;
  counter seen;
  auto consume = [&](ilm::message<int> m) {
    if (m.sequence != ++seen.expected) ++seen.wrong;
    if (took != nullptr) took->add(m.text().data());
    if (seen.expected == messages) {
      seen.done = clock_type::now();
      context.stop();
    }
  };
  ilm::messenger a(context, ilm::memory_backend<int>(), fabric.join(1), [](ilm::message<int>) {});
  ilm::messenger b(context, ilm::memory_backend<int>(), fabric.join(2), consume);
  auto start = clock_type::now();
  for (std::uint64_t i = 0; i < senders; ++i) {
    std::uint64_t each = messages / senders;
    asio::awaitable<void> work =
        took != nullptr ? send_stamped(a, each, size) : send(a, each, size);
    asio::co_spawn(context, std::move(work), asio::detached);
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
  std::uint64_t size = a.number("--size", 100);
  messages -= messages % senders;
  bool table = a.has("--table");
  latencies took(table ? messages : 0);
  double rate = measure(messages, senders, size, table ? &took : nullptr);
  if (table) {
    print_run("in memory", senders, size, rate, took.result());
    return 0;
  }
  std::cout << messages << " messages of " << size << " bytes from " << senders
            << " coroutines: " << static_cast<std::uint64_t>(rate) << " messages/s\n";
}
