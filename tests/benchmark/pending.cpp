// A million messages for a peer that is away, in SQLite: their cost to the process that has them.
// POSIX; the figures of memory need Linux.
//
//   pending [--messages N] [--dir DIR] [--smoke] [--table]
//
// With --table it prints lines for report.cpp.
//
// One process queues them and is killed. The next one starts on its store; then the peer comes, in
// a third process, and consumes them.

#include "process.hpp"
#include "table.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>

#include <algorithm>
#include <iostream>

namespace {

using namespace benchmark;
using backend = ilm::sqlite_backend<std::string, ilm::durability::os>;

struct figures {
  double seconds = 0;  ///< to queue, to open, or to drain
  long at_start = 0;   ///< KiB resident before there is a messenger
  long at_most = 0;    ///< KiB resident at most
  std::uint64_t wrong = 0;
};

template <class Messenger>
asio::awaitable<void> queue(Messenger& from, std::uint64_t count) {
  const ilm::bytes contents(std::string(100, 'x'));
  for (std::uint64_t i = 0; i < count; ++i) co_await from.send_to("peer", contents);
}

void queue_all(const work_directory& d, std::uint64_t messages, const auto& report) {
  constexpr std::uint64_t senders = 1000;
  figures f;
  f.at_start = memory("VmRSS:");
  auto start = clock_type::now();
  asio::io_context context(1);
  ilm::messenger m(context, backend(d / "queue.db"), ilm::tcp_network<>(context, "queue"),
                   [](const ilm::message<std::string>&) {});
  std::uint64_t left = senders;
  for (std::uint64_t i = 0; i < senders; ++i) {
    asio::co_spawn(context, queue(m, messages / senders), [&](std::exception_ptr failed) {
      if (failed) std::rethrow_exception(failed);
      if (--left == 0) context.stop();
    });
  }
  context.run();
  f.seconds = seconds_since(start);
  f.at_most = memory("VmHWM:");
  report(f);
  ::kill(::getpid(), SIGKILL);
}

/// Consumes all messages and reports; then it confirms until it is killed.
void receive_all(const work_directory& d, std::uint64_t messages, std::uint16_t port,
                 const auto& report) {
  asio::io_context context(1);
  ilm::tcp_network<> network(context, "peer");
  network.add_peer("queue", "127.0.0.1:" + std::to_string(port));
  figures f;
  std::uint64_t consumed = 0;
  auto start = clock_type::now();
  auto consume = [&](const ilm::message<std::string>& m) {
    if (m.sequence != ++consumed) ++f.wrong;
    if (consumed != messages) return;
    f.seconds = seconds_since(start);
    f.at_most = memory("VmHWM:");
    report(f);
  };
  ilm::messenger m(context, backend(d / "peer.db"), std::move(network), consume);
  context.run();
}

/// Opens the store, reports the port and then how it went, and sends until it is killed.
struct reopened {
  std::uint16_t port = 0;
  figures opening;
};

void reopen(const work_directory& d, const auto& report) {
  reopened r;
  r.opening.at_start = memory("VmRSS:");
  asio::io_context context(1);
  ilm::tcp_network<> network(context, "queue");
  network.listen("127.0.0.1:0");
  r.port = network.port();
  auto start = clock_type::now();
  ilm::messenger m(context, backend(d / "queue.db"), std::move(network),
                   [](const ilm::message<std::string>&) {});
  while (m.statistics().peers.empty()) context.run_one();
  r.opening.seconds = seconds_since(start);
  r.opening.at_most = memory("VmHWM:");
  report(r);
  while (m.statistics().peers[0].outbox_depth > 0) context.run_for(std::chrono::milliseconds(1));
  r.opening.at_most = memory("VmHWM:");
  report(r);
}

void print(bool table, std::uint64_t messages, const char* step, double seconds, long kibibytes) {
  if (table) {
    std::string x = std::to_string(messages);
    print_figure("pending", std::string(step) + ", ms", x, seconds * 1e3, "ms");
    print_figure("pending", std::string(step) + ", MiB", x, static_cast<double>(kibibytes) / 1024,
                 "MiB");
    return;
  }
  std::cout << step << ": " << seconds << " s, " << kibibytes / 1024
            << " MiB resident above the empty process\n"
            << std::flush;
}

}  // namespace

int main(int count, char** values) {
  arguments a(count, values);
  std::uint64_t messages = a.number("--messages", a.has("--smoke") ? 20'000 : 1'000'000);
  messages -= messages % 1000;
  work_directory d(a.text("--dir", std::filesystem::temp_directory_path().string()));
  bool table = a.has("--table");
  if (!table) std::cout << messages << " messages of 100 bytes\n";

  child<figures> first([&](auto report) { queue_all(d, messages, report); });
  figures queued = first.ask();
  print(table, messages, "queue", queued.seconds, queued.at_most - queued.at_start);
  if (!table)
    std::cout << "the store: " << std::filesystem::file_size(d / "queue.db") / 1'000'000 << " MB\n";

  child<reopened> second([&](auto report) { reopen(d, report); });
  reopened r = second.ask();
  print(table, messages, "open", r.opening.seconds, r.opening.at_most - r.opening.at_start);

  child<figures> peer([&](auto report) { receive_all(d, messages, r.port, report); });
  figures drained = peer.ask();
  r = second.ask();
  print(table, messages, "drain", drained.seconds, r.opening.at_most - r.opening.at_start);
  if (drained.wrong != 0) std::cout << drained.wrong << " messages out of order\n";
  if (!table) {
    std::cout << "the store, drained: " << std::filesystem::file_size(d / "queue.db") / 1'000'000
              << " MB\n";
  }
  return drained.wrong == 0 ? 0 : 1;
}
