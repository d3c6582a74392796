// Messages that are in a file once `send_to` completes, over TCP. In two terminals:
//
//   durable bob   127.0.0.1:4002 alice 127.0.0.1:4001
//   durable alice 127.0.0.1:4001 bob   127.0.0.1:4002
//
// Start either at any time, kill it, start it again: each start sends one message, and each message
// arrives once, in order. Without arguments, both run here until each has heard of the other.

#include "support/program.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <ios>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

int shown = 0;

void show(const ilm::message<std::string>& m) {
  std::cout << ilm::printable_id(m.from) << ": " << ilm::printable(m.text()) << std::endl;
  ++shown;
}

// [durable]
asio::awaitable<void> run(asio::io_context& context, ilm::tcp_network<> network, std::string peer) {
  std::string me = network.local_id();
  ilm::sqlite_backend<> store(me + ".db");
  ilm::messenger messenger(context, std::move(store), std::move(network), show);

  std::uint64_t number = co_await messenger.send_to(peer, "Hello from " + me);
  std::cout << me << ": message " << number << " is on the disk" << std::endl;
  co_await messenger.wait_delivered(peer, number);
  std::cout << me << ": " << peer << " has it" << std::endl;
  for (;;) std::cout << me << ": " << describe(co_await messenger.next_event()) << std::endl;
}
// [durable]

void rethrow(std::exception_ptr failed) {
  if (failed) std::rethrow_exception(failed);
}

/// Runs both in this process, in a directory of their own.
void run_both() {
  auto ticks = std::chrono::steady_clock::now().time_since_epoch().count();
  auto place = example::temporary_place() / ("ilm_durable." + std::to_string(ticks));
  std::filesystem::create_directory(place);
  std::filesystem::current_path(place);
  {
    asio::io_context context;
    ilm::tcp_network<> bob(context, "bob"), alice(context, "alice");
    bob.listen("127.0.0.1:0");  // a peer that is dialed needs no address of the dialing one
    alice.add_peer("bob", "127.0.0.1:" + std::to_string(bob.port()));
    asio::co_spawn(context, run(context, std::move(bob), "alice"), rethrow);
    asio::co_spawn(context, run(context, std::move(alice), "bob"), rethrow);
    while (shown < 2) context.run_one();
  }
  std::filesystem::current_path(place.parent_path());
  std::filesystem::remove_all(place);
}

void run_one(char** values) {
  // [main]
  asio::io_context context;
  ilm::tcp_network<> network(context, values[1]);
  network.listen(values[2]);
  network.add_peer(values[3], values[4]);
  asio::co_spawn(context, run(context, std::move(network), values[3]), rethrow);
  context.run();
  // [main]
}

int main(int count, char** values) {
  auto work = [values](const std::vector<std::string>& given) {
    if (!given.empty() && given.size() != 4) throw example::misuse("give all four, or none");
    std::cout.exceptions(std::ios::badbit | std::ios::failbit);  // nobody reads: the end
    given.empty() ? run_both() : run_one(values);
    return 0;
  };
  return example::run_program("durable", "usage: durable [NAME ADDRESS PEER ITS_ADDRESS]\n", count,
                              values, work);
}
