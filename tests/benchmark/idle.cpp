// Peers that were met and have nothing to do: what opening their store takes, and what each takes
// in memory.
//
//   idle [--peers N] [--dir DIR] [--smoke] [--table]
//
// With --table it prints lines for report.cpp.

#include "process.hpp"
#include "support/counted_memory.hpp"
#include "table.hpp"

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>
#include <ilm/protocol/reconcile.hpp>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>

#include <array>
#include <cstdint>
#include <iostream>
#include <string>

namespace {

using namespace benchmark;
using memory_store = ilm::memory_backend<std::string>;
using sqlite_store = ilm::sqlite_backend<std::string, ilm::durability::os>;

/// Where a side stands that has exchanged messages with a peer: all were consumed.
ilm::cursors met(const ilm::incarnation& local, const std::string& name, std::uint64_t number) {
  ilm::cursors c = ilm::protocol::begin_history(local, ilm::bytes(name).view());
  auto hash = [&](std::uint64_t which) {
    return ilm::stream_hash{(number + which) * 0x9e3779b97f4a7c15, ~(number * 8 + which) << 32};
  };
  c.history.mark = c.history.confirmed = ilm::stamp{20, hash(1).high};
  c.history.mark_delivered = c.history.confirmed_delivered = 1000;
  c.history.mark_hash = c.history.confirmed_hash = hash(2);
  c.history.seen = ilm::stamp{30, hash(3).high};
  c.outbox.first = c.outbox.next = 2001;
  c.outbox.acknowledged = 2000;
  c.outbox.erased_hash = c.outbox.last_hash = hash(4);
  c.inbox.stream = ilm::stamp{1, hash(5).high};
  c.inbox.first = c.inbox.next = 1001;
  c.inbox.received_hash = c.inbox.delivered_hash = hash(2);
  return c;
}

template <class Store>
asio::awaitable<void> fill(Store& store, std::uint64_t peers) {
  co_await store.open();
  ilm::batch<std::string> first;
  ilm::incarnation local{1, 2};
  first.new_incarnation = local;
  for (std::uint64_t i = 0; i < peers; ++i) {
    std::string name = "peer" + std::to_string(i);
    first.changes.emplace_back(name, met(local, name, i));
  }
  co_await store.commit(first);
  co_await store.close();
}

struct figures {
  double seconds = 0;
  double bytes = 0;  ///< of each peer
};

/// Opens a store that has the peers.
template <class Store>
figures open(Store store, std::uint64_t peers) {
  asio::io_context context(1);
  ilm::memory_fabric<std::string> fabric;
  std::size_t before = test::bytes_in_use;
  auto start = clock_type::now();
  ilm::messenger m(context, std::move(store), fabric.join("local"),
                   [](const ilm::message<std::string>&) {});
  bool answered = false;
  m.undelivered("peer0", [&](std::error_code, ilm::sequence_range) { answered = true; });
  while (!answered) context.run_one();
  figures f;
  f.seconds = seconds_since(start);
  context.poll();
  f.bytes = static_cast<double>(test::bytes_in_use - before) / static_cast<double>(peers);
  if (m.statistics().peers.size() != peers) std::exit(1);
  return f;
}

template <class Store>
void fill_store(Store& store, std::uint64_t peers) {
  asio::io_context context(1);
  asio::co_spawn(context, fill(store, peers), [](std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
  });
  context.run();
}

void print(const char* store, std::uint64_t peers, const figures& f, bool table) {
  if (table) {
    std::string x = std::to_string(peers);
    print_figure("idle", std::string("open, ms, ") + store, x, f.seconds * 1e3, "ms");
    print_figure("idle", std::string("bytes a peer, ") + store, x, f.bytes, "bytes");
    return;
  }
  std::cout << store << ": opened in " << f.seconds << " s, " << f.bytes << " bytes a peer\n";
}

}  // namespace

int main(int count, char** values) {
  arguments a(count, values);
  std::uint64_t peers = a.number("--peers", a.has("--smoke") ? 2'000 : 100'000);
  work_directory d(a.text("--dir", std::filesystem::temp_directory_path().string()));
  bool table = a.has("--table");
  if (!table) std::cout << peers << " idle peers\n";

  memory_store in_memory;
  fill_store(in_memory, peers);
  print("memory", peers, open(in_memory, peers), table);

  sqlite_store in_file(d / "idle.db");
  fill_store(in_file, peers);
  print("SQLite", peers, open(sqlite_store(d / "idle.db"), peers), table);
}
