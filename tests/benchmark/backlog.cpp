// Cost per message and memory as the backlog for an absent peer grows.
//
//   backlog [--smoke] [--table] [--largest N]
//
// With --table it prints lines for report.cpp.
// For each size: queue that many messages of 100 bytes for a peer that is away, start again on the
// store, then let the peer come and drain. The store is in memory, so it is measured too: the
// last column shows the resident memory that the messenger adds.

#include "support.hpp"
#include "table.hpp"

#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <optional>
#include <string>

namespace {

using namespace benchmark;

template <class Messenger>
asio::awaitable<void> queue(Messenger& from, std::uint64_t count) {
  const ilm::bytes contents(std::string(100, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to(2, contents);
}

void measure(std::uint64_t backlog, bool table) {
  asio::io_context context(1);
  ilm::memory_fabric<int> fabric;
  ilm::memory_backend<int> store;
  auto ignore = [](ilm::message<int>) {};

  auto start = clock_type::now();
  {
    ilm::messenger a(context, store, fabric.join(1), ignore);
    for (int i = 0; i < 100; ++i) {
      asio::co_spawn(context, queue(a, backlog / 100), asio::detached);
    }
    while (store.size(ilm::queue::outbox) < backlog) context.run_one();
  }
  double queueing = seconds_since(start);
  context.run();

  long before = memory("VmRSS:");
  start = clock_type::now();
  context.restart();
  ilm::messenger a(context, store, fabric.join(1), ignore);
  while (a.statistics().peers.empty()) context.run_one();
  double opening = seconds_since(start);

  std::uint64_t consumed = 0;
  long most = before;
  auto consume = [&](ilm::message<int> m) {
    if (m.sequence != ++consumed) std::exit(1);
    if (consumed % 65'536 == 1) most = std::max(most, memory("VmRSS:"));
    if (consumed == backlog) context.stop();
  };
  start = clock_type::now();
  ilm::messenger b(context, ilm::memory_backend<int>(), fabric.join(2), consume);
  context.run();
  double draining = seconds_since(start);

  auto each = [&](double seconds) { return seconds / static_cast<double>(backlog) * 1e9; };
  if (table) {
    std::string x = std::to_string(backlog);
    print_figure("backlog", "queue, ns a message", x, each(queueing), "ns");
    print_figure("backlog", "drain, ns a message", x, each(draining), "ns");
    print_figure("backlog", "open, us", x, opening * 1e6, "us");
    print_figure("backlog", "memory that draining adds, MiB", x,
                 static_cast<double>(most - before) / 1024, "MiB");
    return;
  }
  std::cout << std::fixed << std::setw(10) << backlog << std::setprecision(0) << std::setw(16)
            << each(queueing) << std::setprecision(2) << std::setw(14) << opening * 1e3
            << std::setprecision(0) << std::setw(16) << each(draining) << std::setw(18)
            << static_cast<double>(most - before) / 1024 << '\n';
}

}  // namespace

int main(int count, char** values) {
  arguments a(count, values);
  bool table = a.has("--table");
  std::uint64_t largest = a.number("--largest", a.has("--smoke") ? 10'000 : 1'000'000);
  if (!table) {
    std::cout << "   backlog   queue ns/msg   opening ms   drain ns/msg   added memory MiB\n";
  }
  for (std::uint64_t backlog = 1'000; backlog <= largest; backlog *= 10) measure(backlog, table);
}
