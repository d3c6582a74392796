#include "campaign.hpp"

#include "peer_arguments.hpp"
#include "store_file.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <string>

namespace torture {

using std::chrono::microseconds;
using std::chrono::milliseconds;

namespace {

// The shares of incidents, in percent; the rest are cuts.
constexpr std::uint64_t share_of_kill_one = 30;
constexpr std::uint64_t share_of_kill_at_start = 12;
constexpr std::uint64_t share_of_kill_all = 8;
constexpr std::uint64_t share_of_kill_at_end = 12;

/// Messages of each stream before and after a copy of a store is made, and after it is put back.
constexpr std::uint64_t messages_between_copies = 100;
/// Proxies that are tried for one with a connection.
constexpr int proxies_tried = 20;

}  // namespace

asio::awaitable<void> campaign::run() {
  supervisor_.open();
  const driver_options& options = supervisor_.options();
  // Rollbacks lie between the incidents, with none at the end.
  std::uint64_t parts = options.rollbacks + 1;
  for (std::uint64_t part = 1; part <= parts && !supervisor_.failed() && !out_of_time(); ++part) {
    co_await cause_incidents(options.kills * part / parts);
    if (part < parts && !supervisor_.failed() && !out_of_time()) co_await put_back();
  }
  if (!supervisor_.failed()) co_await calm();
  if (!supervisor_.failed()) co_await close();
  if (!supervisor_.failed()) inspect();
  read_errors();
}

bool campaign::out_of_time() const {
  auto limit = supervisor_.options().limit;
  return limit.count() > 0 && supervisor_.elapsed() >= limit;
}

std::size_t campaign::neighbours_of(const supervised_peer& a) {
  const driver_options& options = supervisor_.options();
  std::size_t count = 0;
  for (std::size_t other = 0; other < options.peers; ++other) {
    count += options.are_neighbours(number_of(a.name), other) ? 1 : 0;
  }
  return count;
}

bool campaign::all_running() {
  const auto& all = supervisor_.peers();
  return std::all_of(all.begin(), all.end(), [](const supervised_peer& a) { return a.works(); });
}

// --- incidents ----------------------------------------------------------------------------------

asio::awaitable<void> campaign::cause_incidents(std::uint64_t kills) {
  while (supervisor_.counts().all_kills() < kills && !supervisor_.failed() && !out_of_time()) {
    co_await incident();
    // Other incidents go on while a disk is full.
    if (is_disk_due()) supervisor_.spawn(fill_disk(any()));
    co_await supervisor_.pause(
        microseconds(supervisor_.draw(supervisor_.draw(4) == 0 ? 400'000 : 60'000)));
  }
}

asio::awaitable<void> campaign::incident() {
  std::uint64_t percent = supervisor_.draw(100);
  auto chosen = [&percent](std::uint64_t share) {
    bool within = percent < share;
    percent -= within ? 0 : share;
    return within;
  };
  if (chosen(share_of_kill_one)) {
    co_await kill_one();
  } else if (chosen(share_of_kill_at_start)) {
    co_await kill_at_start();
  } else if (chosen(share_of_kill_all)) {
    kill_all();
  } else if (chosen(share_of_kill_at_end)) {
    co_await kill_at_end();
  } else {
    cut_one();
  }
}

asio::awaitable<void> campaign::kill_one() {
  supervised_peer& a = any();
  // Usually in the phase `running`; sometimes in any phase.
  if (supervisor_.draw(4) != 0) {
    auto works = [&a] { return a.works(); };
    std::string otherwise = a.name + " does not get to work";
    if (!co_await supervisor_.until(works, otherwise)) co_return;
    co_await supervisor_.pause(microseconds(supervisor_.draw(50'000)));
  }
  supervisor_.kill(a);
}

asio::awaitable<void> campaign::kill_at_start() {
  supervised_peer& a = any();
  std::uint32_t process_number = a.process_number;
  supervisor_.kill(a);
  auto born = [&a, process_number] { return a.process_number > process_number && a.alive(); };
  std::string otherwise = a.name + " is not started again";
  if (!co_await supervisor_.until(born, otherwise)) co_return;
  std::uint64_t usual = static_cast<std::uint64_t>(microseconds(a.usual_start).count());
  co_await supervisor_.pause(microseconds(supervisor_.draw(usual + 1000)));
  supervisor_.kill(a);
}

void campaign::kill_all() {
  ++supervisor_.counts().together;
  for (supervised_peer& a : supervisor_.peers()) supervisor_.kill(a);
}

asio::awaitable<void> campaign::kill_at_end() {
  supervised_peer& a = any();
  if (!a.works() || a.disk_full) co_return;
  supervisor_.end(a, 'r');
  // One shutdown in four completes.
  if (supervisor_.draw(4) == 0) co_return;
  co_await supervisor_.pause(
      microseconds(supervisor_.draw(supervisor_.draw(2) == 0 ? 3000 : 60'000)));
  if (a.now == phase::ending) supervisor_.kill(a);
}

/// Full disks lie evenly between the kills.
bool campaign::is_disk_due() const {
  const driver_options& options = supervisor_.options();
  const summary& so_far = supervisor_.counts();
  return so_far.full_disks * options.kills < options.full_disks * so_far.all_kills();
}

/// Not in a shutdown, which then fails as it should.
asio::awaitable<void> campaign::fill_disk(supervised_peer& a) {
  if (a.disk_full || a.now == phase::ending) co_return;
  supervisor_.set_disk(a, true);
  co_await supervisor_.pause(milliseconds(supervisor_.draw(supervisor_.draw(4) == 0 ? 2000 : 200)));
  supervisor_.set_disk(a, false);
}

void campaign::cut_one() {
  cut kind = static_cast<cut>(supervisor_.draw(cut_kinds));
  // Both sides dial and one connection remains: many proxies are idle.
  for (int tries = 0; tries < proxies_tried; ++tries) {
    supervised_peer& a = any();
    proxy& route = a.proxies[supervisor_.draw(a.proxies.size())];
    if (!route.apply(kind)) continue;
    ++supervisor_.counts().cuts[static_cast<std::size_t>(kind)];
    return supervisor_.note("a way to " + a.name + ": " + std::string(name_of(kind)));
  }
}

// --- a store that goes back ---------------------------------------------------------------------

asio::awaitable<void> campaign::put_back() {
  supervised_peer& a = any();
  std::size_t number = number_of(a.name);
  std::filesystem::path store = supervisor_.store_of(a), copy = store.string() + ".copy";
  if (!co_await exchange(messages_between_copies)) co_return;
  co_await hold(a);
  copy_store(store, copy);
  supervisor_.note("copied the store of " + a.name);
  a.held = false;
  if (!co_await exchange(messages_between_copies)) co_return;
  co_await hold(a);
  copy_store(copy, store);
  supervisor_.note("put the store of " + a.name + " back");
  ++supervisor_.counts().put_back;
  ++a.generation;
  for (supervised_peer& each : supervisor_.peers()) each.rollback_events.clear();
  supervisor_.checks().store_put_back(number);
  a.held = false;
  auto reported = [this, &a] { return rollback_reported(a); };
  std::string otherwise =
      "the store of " + a.name + " was put back, and not all peers got an event";
  if (!co_await supervisor_.until(reported, otherwise)) co_return;
  supervisor_.checks().put_back_reported(number);
  co_await exchange(messages_between_copies);
}

/// Kills it, and does not start it again.
asio::awaitable<void> campaign::hold(supervised_peer& a) {
  a.held = true;
  supervisor_.kill(a);
  auto down = [&a] { return !a.alive(); };
  std::string otherwise = a.name + " outlives a kill";
  co_await supervisor_.until(down, otherwise);
}

/// Waits until each peer has received so many messages sent by each other peer from now on. An old
/// copy of a store can only be detected if a peer has received later messages.
asio::awaitable<bool> campaign::exchange(std::uint64_t messages) {
  supervisor_.checks().mark();
  auto enough = [this, messages] {
    return all_running() && supervisor_.checks().past_mark(messages);
  };
  std::string otherwise = "nothing gets through any more";
  co_return co_await supervisor_.until(enough, otherwise);
}

/// Whether both sides of each pair reported that the store of `a` was put back.
bool campaign::rollback_reported(supervised_peer& a) {
  for (supervised_peer& other : supervisor_.peers()) {
    if (&other == &a) continue;
    bool here = a.rollback_events.contains({"rolled_back", other.name});
    bool there = other.rollback_events.contains({"peer_rolled_back", a.name});
    if (!here || !there) return false;
  }
  return true;
}

// --- the end ------------------------------------------------------------------------------------

asio::awaitable<void> campaign::calm() {
  supervisor_.note("calm");
  for (supervised_peer& a : supervisor_.peers()) {
    for (proxy& route : a.proxies) route.calm();
    supervisor_.set_disk(a, false);
  }
  auto running = [this] { return all_running(); };
  std::string otherwise = "not all peers start to work";
  if (!co_await supervisor_.until(running, otherwise)) co_return;
  for (supervised_peer& a : supervisor_.peers()) a.process->command('q');
  // In a chain a peer at rest still gets messages from the peers before it. When all came to rest
  // once, the ends have no more, when they did so again, their neighbours have no more, and so on.
  for (std::size_t time = 0; time < supervisor_.peers().size(); ++time) {
    for (supervised_peer& a : supervisor_.peers()) a.last.quiet = false;
    if (!co_await come_to_rest()) co_return;
  }
}

asio::awaitable<bool> campaign::come_to_rest() {
  auto at_rest = [this] {
    const auto& all = supervisor_.peers();
    return std::all_of(all.begin(), all.end(), [&](const supervised_peer& a) {
      return a.last.at_rest() && a.last.connected == neighbours_of(a);
    });
  };
  std::string otherwise = "not all comes to rest";
  if (co_await supervisor_.until(at_rest, otherwise)) co_return true;
  for (supervised_peer& a : supervisor_.peers()) {
    supervisor_.complain(a.name + ": " + std::to_string(a.last.open_sends) +
                         " sends open, outbox " + std::to_string(a.last.outbox) + ", inbox " +
                         std::to_string(a.last.inbox) + ", sessions " +
                         std::to_string(a.last.connected));
  }
  co_return false;
}

asio::awaitable<void> campaign::close() {
  supervisor_.close_after_end();
  for (supervised_peer& a : supervisor_.peers()) supervisor_.end(a, 's');
  auto ended = [this] {
    const auto& all = supervisor_.peers();
    return std::none_of(all.begin(), all.end(), [](const supervised_peer& a) { return a.alive(); });
  };
  std::string otherwise = "not all peers shut down";
  if (!co_await supervisor_.until(ended, otherwise)) co_return;
  for (supervised_peer& a : supervisor_.peers()) {
    if (a.end.undelivered + a.end.unread == 0) continue;
    supervisor_.complain(a.name + " reports " + std::to_string(a.end.undelivered) +
                         " undelivered, and " + std::to_string(a.end.unread) + " unread");
  }
}

/// A sanitizer may have reported an error without ending its process. One that looks for leaks at
/// the end of a process says so when the process is killed beneath it, which is no error.
void campaign::read_errors() {
  for (supervised_peer& a : supervisor_.peers()) {
    std::ifstream errors(supervisor_.errors_of(a));
    for (std::string line; std::getline(errors, line);) {
      if (line.find("Unable to get registers from thread") != std::string::npos) continue;
      supervisor_.complain(a.name + " wrote to " + supervisor_.errors_of(a).string() + ": " + line);
      break;
    }
  }
}

void campaign::inspect() {
  for (supervised_peer& a : supervisor_.peers()) {
    store_file store(supervisor_.store_of(a));
    if (store.integrity != "ok")
      supervisor_.complain("the store of " + a.name + ": " + store.integrity);
    if (store.outbox + store.inbox == 0) continue;
    supervisor_.complain("the store of " + a.name + " still holds " + std::to_string(store.outbox) +
                         " messages in outboxes and " + std::to_string(store.inbox) +
                         " in inboxes");
  }
}

}  // namespace torture
