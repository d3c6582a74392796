// A worker whose messenger keeps its store in IndexedDB, for indexed_db_test.mjs. Its name is
// alice; bob, whose store is in memory, is in the same worker.

#include <ilm/backends/indexed_db.hpp>
#include <ilm/browser/page_loop.hpp>
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>

#include <cstdint>
#include <emscripten.h>
#include <exception>
#include <optional>
#include <string>
#include <vector>

namespace {

using store_type = ilm::indexed_db_backend<>;

// [loop]
std::optional<asio::io_context> context(std::in_place);

void run() { ilm::page_loop::of(*context).run(); }
// [loop]

/// The text of what went wrong; `otherwise` if nothing did.
std::string text_of(const std::exception_ptr& e, const std::string& otherwise) {
  try {
    if (e) std::rethrow_exception(e);
  } catch (const std::exception& known) {
    return known.what();
  }
  return otherwise;
}

/// Given to JavaScript, which copies it at once.
const char* keep(const std::string& text) {
  static std::string kept;
  return (kept = text).c_str();
}

// --- a store without a messenger -----------------------------------------------------------------

std::optional<store_type> store;
std::string store_text;
int commits = 0;

constexpr std::uint64_t batch_size = 40;

/// Numbers of a store that the test compares: they fit if each commit is whole.
asio::awaitable<void> read_all(const ilm::store_state<std::string>& state) {
  std::uint64_t next = 1;
  if (!state.peers.empty()) next = state.peers.front().second.outbox.next;
  std::uint64_t from = 1;
  for (;;) {
    auto page =
        co_await store->read(ilm::queue::outbox, "bob", from, ilm::page_limit(100, 100'000));
    if (page.empty()) break;
    from += page.size();
  }
  store_text = "open, next " + std::to_string(next) + ", read " + std::to_string(from - 1);
}

asio::awaitable<void> open_store() {
  auto state = co_await store->open();
  co_await read_all(state);
}

asio::awaitable<void> read_one() {
  auto page = co_await store->read(ilm::queue::outbox, "bob", 1, ilm::page_limit(1, 1));
  store_text += std::to_string(page.size());
}

asio::awaitable<void> commit_for_ever() {
  auto state = co_await store->open();
  ilm::cursors c;
  if (!state.peers.empty()) c = state.peers.front().second;
  for (bool first = !state.local;; first = false) {
    ilm::batch<std::string> b;
    if (first) {
      b.new_incarnation = ilm::incarnation{1, 2};
      b.new_local_id = "alice";
    }
    ilm::peer_change<std::string> change("bob", c);
    for (std::uint64_t i = 0; i < batch_size; ++i) {
      change.outbox.emplace_back(c.outbox.next, c.outbox.next, 0, ilm::stream_hash(),
                                 ilm::bytes(std::string(3000, 'x')));
      ++c.outbox.next;
    }
    change.next = c;
    b.changes.push_back(std::move(change));
    co_await store->commit(b);
    ++commits;
  }
}

void start_with_store(const char* name, asio::awaitable<void> (*work)()) {
  store.emplace(name);
  store_text.clear();
  asio::co_spawn(*context, work, [](std::exception_ptr e) { store_text = text_of(e, store_text); });
  run();
}

// --- messengers ----------------------------------------------------------------------------------

using fabric_type = ilm::memory_fabric<std::string>;

fabric_type fabric;
std::string received;

void note_message(ilm::message<std::string> m) { received += m.text().substr(0, 8); }

using alice_type =
    ilm::messenger<store_type, fabric_type::network_type, void (*)(ilm::message<std::string>)>;
using bob_type = ilm::messenger<ilm::memory_backend<std::string>, fabric_type::network_type,
                                void (*)(ilm::message<std::string>)>;

std::optional<alice_type> alice;
std::optional<bob_type> bob;
std::string events;
int accepted = 0;
int settled = 0;
std::string refused;

template <class Messenger>
asio::awaitable<void> note_events(Messenger& m, std::string of) {
  for (;;) {
    auto e = co_await m.next_event();
    events += of + ": " + ilm::describe(e) + "\n";
  }
}

template <class Messenger>
void watch(Messenger& m, const char* name) {
  asio::co_spawn(*context, note_events(m, name), asio::detached);
}

asio::awaitable<void> send_one(std::string contents) {
  co_await alice->send_to("bob", contents);
  ++accepted;
}

}  // namespace

extern "C" {

EMSCRIPTEN_KEEPALIVE void open_store(const char* name) { start_with_store(name, open_store); }
EMSCRIPTEN_KEEPALIVE void commit_for_ever(const char* name) {
  start_with_store(name, commit_for_ever);
}
EMSCRIPTEN_KEEPALIVE void renew_context() {
  context.reset();
  context.emplace();
}
EMSCRIPTEN_KEEPALIVE void read_twice() {
  store_text.clear();
  asio::co_spawn(*context, read_one, asio::detached);
  asio::co_spawn(*context, read_one, asio::detached);
  run();
}
EMSCRIPTEN_KEEPALIVE void close_store() { store.reset(); }
EMSCRIPTEN_KEEPALIVE const char* outcome_text() { return keep(store_text); }
EMSCRIPTEN_KEEPALIVE int commits_so_far() { return commits; }

// [alice]
EMSCRIPTEN_KEEPALIVE void start_alice(const char* name) {
  alice.emplace(*context, ilm::indexed_db_backend<>(name), fabric.join("alice"), note_message);
  watch(*alice, "alice");
  run();
}
// [alice]
EMSCRIPTEN_KEEPALIVE void end_alice() {
  alice.reset();
  run();
}
EMSCRIPTEN_KEEPALIVE void start_bob() {
  bob.emplace(*context, ilm::memory_backend<std::string>(), fabric.join("bob"), note_message);
  watch(*bob, "bob");
  run();
}
/// Sends one message: the text, followed by so many bytes.
EMSCRIPTEN_KEEPALIVE void send_message(const char* text, int size) {
  asio::co_spawn(*context, send_one(text + std::string(static_cast<std::size_t>(size), '.')),
                 [](std::exception_ptr e) {
                   refused = text_of(e, refused);
                   ++settled;
                 });
  run();
}
EMSCRIPTEN_KEEPALIVE int accepted_so_far() { return accepted; }
/// Accepted or refused.
EMSCRIPTEN_KEEPALIVE int settled_so_far() { return settled; }
EMSCRIPTEN_KEEPALIVE const char* refused_text() { return keep(refused); }
EMSCRIPTEN_KEEPALIVE const char* received_text() { return keep(received); }
EMSCRIPTEN_KEEPALIVE const char* events_text() { return keep(events); }
}

int main() {}
