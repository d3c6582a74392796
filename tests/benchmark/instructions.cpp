// What one message of 100 bytes costs on each hot path, in instructions. The program sends messages
// within one process; instructions.cmake counts those of two runs, and takes the difference.
//
//   instructions --path one_sender|senders|tcp|sqlite [--messages N]

#include "process.hpp"
#include "support.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <iostream>
#include <string>
#include <utility>

namespace {

using namespace benchmark;

/// Nothing is sent again because a counted program is slow.
ilm::options patient() {
  ilm::options o;
  o.initial_timeout = o.minimum_timeout = o.maximum_timeout = std::chrono::seconds(100);
  o.keepalive_interval = {};
  return o;
}
ilm::tcp_options patient_tcp() {
  ilm::tcp_options o;
  o.keepalive_interval = {};
  o.handshake_timeout = std::chrono::seconds(100);
  return o;
}

/// From "a" to "b". Returns whether all arrived in order.
template <class Backend, class Network>
bool send_all(asio::io_context& context, Backend from, Backend to, Network network_a,
              Network network_b, std::uint64_t messages, std::uint64_t senders) {
  std::uint64_t seen = 0;
  bool in_order = true;
  ilm::messenger a(
      context, std::move(from), std::move(network_a), [](ilm::message<std::string>) {}, patient());
  ilm::messenger b(
      context, std::move(to), std::move(network_b),
      [&](const ilm::message<std::string>& m) {
        in_order = in_order && m.sequence == ++seen;
        if (seen == messages) context.stop();
      },
      patient());
  auto send = [&]() -> asio::awaitable<void> {
    const ilm::bytes contents(std::string(100, 'x'));
    for (std::uint64_t i = 0; i < messages / senders; ++i) co_await a.send_to("b", contents);
  };
  for (std::uint64_t i = 0; i < senders; ++i) asio::co_spawn(context, send, asio::detached);
  context.run();
  return in_order && seen == messages;
}

bool run(const std::string& path, std::uint64_t messages) {
  using memory = ilm::memory_backend<std::string>;
  // It goes when the threads of the stores have ended, with the context.
  work_directory place(std::filesystem::temp_directory_path());
  asio::io_context context(1);
  if (path == "tcp") {
    ilm::tcp_network<> a(context, "a", patient_tcp()), b(context, "b", patient_tcp());
    b.listen("127.0.0.1:0");
    a.add_peer("b", "127.0.0.1:" + std::to_string(b.local_endpoint().port()));
    return send_all(context, memory(), memory(), std::move(a), std::move(b), messages, 100);
  }
  ilm::memory_fabric<std::string> fabric;
  auto a = fabric.join("a"), b = fabric.join("b");
  if (path == "sqlite") {
    return send_all(context, ilm::sqlite_backend<std::string>(place / "a.db"),
                    ilm::sqlite_backend<std::string>(place / "b.db"), std::move(a), std::move(b),
                    messages, 1000);
  }
  std::uint64_t senders = path == "one_sender" ? 1 : 100;
  return send_all(context, memory(), memory(), std::move(a), std::move(b), messages, senders);
}

}  // namespace

int main(int count, char** values) {
  arguments a(count, values);
  std::uint64_t messages = a.number("--messages", 2000);
  bool all = true;
  for (const char* path : {"one_sender", "senders", "tcp", "sqlite"}) {
    if (a.text("--path", path) == path && !run(path, messages)) {
      std::cerr << path << ": messages are missing, or out of order\n";
      all = false;
    }
  }
  return all ? 0 : 1;
}
