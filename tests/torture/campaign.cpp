#include "campaign.hpp"

#include "store_file.hpp"

#include <algorithm>
#include <chrono>
#include <string>

namespace torture {

using std::chrono::microseconds;
using std::chrono::milliseconds;

asio::awaitable<void> campaign::run() {
  stage_.open();
  const orders& given = stage_.given();
  // Roll-backs come in between, and none at the very end.
  std::uint64_t parts = given.rollbacks + 1;
  for (std::uint64_t part = 1; part <= parts && !stage_.failed() && !out_of_time(); ++part) {
    co_await trouble(given.kills * part / parts);
    if (part < parts && !stage_.failed() && !out_of_time()) co_await put_back();
  }
  if (!stage_.failed()) co_await calm();
  if (!stage_.failed()) co_await close();
  if (!stage_.failed()) inspect();
  read_errors();
}

bool campaign::out_of_time() const {
  auto limit = stage_.given().limit;
  return limit.count() > 0 && stage_.elapsed() >= limit;
}

bool campaign::all_running() {
  const auto& all = stage_.actors();
  return std::all_of(all.begin(), all.end(), [](const actor& a) { return a.works(); });
}

// --- incidents ----------------------------------------------------------------------------------

asio::awaitable<void> campaign::trouble(std::uint64_t kills) {
  while (stage_.counts().all_kills() < kills && !stage_.failed() && !out_of_time()) {
    co_await incident();
    co_await stage_.pause(microseconds(stage_.draw(stage_.draw(4) == 0 ? 400'000 : 60'000)));
  }
}

asio::awaitable<void> campaign::incident() {
  std::uint64_t lot = stage_.draw(100);
  if (lot < 30) {
    co_await kill_one();
  } else if (lot < 42) {
    co_await kill_at_start();
  } else if (lot < 50) {
    kill_all();
  } else if (lot < 62) {
    co_await kill_at_end();
  } else {
    cut_one();
  }
}

asio::awaitable<void> campaign::kill_one() {
  actor& a = any();
  // Usually once it works; sometimes in whatever it is doing.
  if (stage_.draw(4) != 0) {
    auto works = [&a] { return a.works(); };
    std::string otherwise = a.name + " does not get to work";
    if (!co_await stage_.until(works, otherwise)) co_return;
    co_await stage_.pause(microseconds(stage_.draw(50'000)));
  }
  stage_.kill(a);
}

asio::awaitable<void> campaign::kill_at_start() {
  actor& a = any();
  std::uint32_t life = a.life;
  stage_.kill(a);
  auto born = [&a, life] { return a.life > life && a.alive(); };
  std::string otherwise = a.name + " is not started again";
  if (!co_await stage_.until(born, otherwise)) co_return;
  std::uint64_t usual = static_cast<std::uint64_t>(microseconds(a.usual_start).count());
  co_await stage_.pause(microseconds(stage_.draw(usual + 1000)));
  stage_.kill(a);
}

void campaign::kill_all() {
  ++stage_.counts().together;
  for (actor& a : stage_.actors()) stage_.kill(a);
}

asio::awaitable<void> campaign::kill_at_end() {
  actor& a = any();
  if (!a.works()) co_return;
  stage_.end(a, 'r');
  // One in four is left to come to its end.
  if (stage_.draw(4) == 0) co_return;
  co_await stage_.pause(microseconds(stage_.draw(stage_.draw(2) == 0 ? 3000 : 60'000)));
  if (a.now == phase::ending) stage_.kill(a);
}

void campaign::cut_one() {
  cut kind = static_cast<cut>(stage_.draw(cut_kinds));
  // Both sides dial and one connection lives: many ways lie idle.
  for (int tries = 0; tries < 20; ++tries) {
    actor& a = any();
    proxy& way = a.ways[stage_.draw(a.ways.size())];
    if (!way.apply(kind)) continue;
    ++stage_.counts().cuts[static_cast<std::size_t>(kind)];
    return stage_.note("a way to " + a.name + ": " + std::string(name_of(kind)));
  }
}

// --- a store that goes back ---------------------------------------------------------------------

asio::awaitable<void> campaign::put_back() {
  actor& a = any();
  std::size_t number = static_cast<std::size_t>(a.name[0] - 'a');
  std::filesystem::path store = stage_.store_of(a), copy = store.string() + ".copy";
  if (!co_await exchange(100)) co_return;
  co_await rest(a);
  copy_store(store, copy);
  stage_.note("copied the store of " + a.name);
  a.held = false;
  if (!co_await exchange(100)) co_return;
  co_await rest(a);
  copy_store(copy, store);
  stage_.note("put the store of " + a.name + " back");
  ++stage_.counts().put_back;
  ++a.generation;
  for (actor& each : stage_.actors()) each.told.clear();
  stage_.judge().store_put_back(number);
  a.held = false;
  auto reported = [this, &a] { return told(a); };
  std::string otherwise = "the store of " + a.name + " was put back, and not all were told";
  if (!co_await stage_.until(reported, otherwise)) co_return;
  stage_.judge().put_back_reported(number);
  co_await exchange(100);
}

/// Kills it, and lets it lie.
asio::awaitable<void> campaign::rest(actor& a) {
  a.held = true;
  stage_.kill(a);
  auto down = [&a] { return !a.alive(); };
  std::string otherwise = a.name + " outlives a kill";
  co_await stage_.until(down, otherwise);
}

/// Until everybody has so much of what the others send from now on. An old copy of a store can be
/// told from a younger one only if somebody else has seen what came in between.
asio::awaitable<bool> campaign::exchange(std::uint64_t messages) {
  stage_.judge().mark();
  auto enough = [this, messages] { return all_running() && stage_.judge().past_mark(messages); };
  std::string otherwise = "nothing gets through any more";
  co_return co_await stage_.until(enough, otherwise);
}

/// Whether both sides of each pair reported that the store of `a` was put back: the other one as
/// such or, if `a` found it out first and was a new incarnation by then, as a reset.
bool campaign::told(actor& a) {
  for (actor& other : stage_.actors()) {
    if (&other == &a) continue;
    bool here = a.told.contains({"rolled_back", other.name});
    bool there = other.told.contains({"peer_reset", a.name});
    if (!here || !there) return false;
  }
  return true;
}

// --- the end ------------------------------------------------------------------------------------

asio::awaitable<void> campaign::calm() {
  stage_.note("calm");
  for (actor& a : stage_.actors()) {
    for (proxy& way : a.ways) way.calm();
  }
  auto running = [this] { return all_running(); };
  std::string otherwise = "not all peers get to work";
  if (!co_await stage_.until(running, otherwise)) co_return;
  for (actor& a : stage_.actors()) a.process->command('q');
  auto drained = [this] {
    const auto& all = stage_.actors();
    return std::all_of(all.begin(), all.end(), [&](const actor& a) {
      return a.last.at_rest() && a.last.connected == all.size() - 1;
    });
  };
  otherwise = "not all comes to rest";
  if (co_await stage_.until(drained, otherwise)) co_return;
  for (actor& a : stage_.actors()) {
    stage_.complain(a.name + ": " + std::to_string(a.last.open_sends) + " sends open, outbox " +
                    std::to_string(a.last.outbox) + ", inbox " + std::to_string(a.last.inbox) +
                    ", sessions " + std::to_string(a.last.connected));
  }
}

asio::awaitable<void> campaign::close() {
  stage_.close_after_end();
  for (actor& a : stage_.actors()) stage_.end(a, 's');
  auto ended = [this] {
    const auto& all = stage_.actors();
    return std::none_of(all.begin(), all.end(), [](const actor& a) { return a.alive(); });
  };
  std::string otherwise = "not all peers shut down";
  if (!co_await stage_.until(ended, otherwise)) co_return;
  for (actor& a : stage_.actors()) {
    if (a.end.undelivered + a.end.unread == 0) continue;
    stage_.complain(a.name + " reports " + std::to_string(a.end.undelivered) +
                    " undelivered, and " + std::to_string(a.end.unread) + " unread");
  }
}

/// A sanitizer that found something may not have had the time to end its process.
void campaign::read_errors() {
  for (actor& a : stage_.actors()) {
    std::filesystem::path errors = stage_.errors_of(a);
    std::error_code never_started;
    std::uintmax_t size = std::filesystem::file_size(errors, never_started);
    if (!never_started && size > 0) stage_.complain(a.name + " wrote to " + errors.string());
  }
}

void campaign::inspect() {
  for (actor& a : stage_.actors()) {
    store_file store(stage_.store_of(a));
    if (store.integrity != "ok") stage_.complain("the store of " + a.name + ": " + store.integrity);
    if (store.outbox + store.inbox == 0) continue;
    stage_.complain("the store of " + a.name + " still holds " + std::to_string(store.outbox) +
                    " messages in outboxes and " + std::to_string(store.inbox) + " in inboxes");
  }
}

}  // namespace torture
