#include "support/catch.hpp"

#include <ilm/runtime/clock_adapter.hpp>
#include <ilm/runtime/network_driver.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace ilm;
using namespace ilm::runtime;
using namespace std::chrono_literals;

// A peer that leaves the engine's memory leaves nothing behind.

namespace {

/// A network that takes all frames and reports nothing.
class silent_network final : public network_port {
 public:
  bool reliable() const noexcept override { return false; }
  std::size_t maximum_frame_size() const override { return 65536; }
  asio::awaitable<void> send(const peer_name&, std::vector<std::byte>) override {
    ++sent;
    co_return;
  }
  asio::awaitable<void> receive(network_sink&) override { co_return; }

  std::size_t sent = 0;
};

/// The table of peers, and the drivers that each peer of it has a coroutine in.
struct engine_room {
  engine_room() { table.set_incarnation(incarnation{1, 2}); }
  ~engine_room() {
    c.life.handle_stopped(error::shut_down);
    network.stop();
    run();
  }

  peer& make(const std::string& id) { return table.of(names.add(id)); }
  void run() {
    io.restart();
    io.poll();
  }

  asio::io_context io;
  name_table<std::string> names{"a"};
  protocol::seeded_entropy numbers{1};
  protocol::random_source random{1};
  context c{io.get_executor(), options(),
            std::make_unique<clock_adapter<std::chrono::steady_clock>>(io.get_executor()),
            std::rethrow_exception};
  std::shared_ptr<int> keep = std::make_shared<int>();
  std::function<void(peer&)> added = [this](peer& p) { network.start(p, keep); };
  peers table{c.settings, *c.turns, setup(), random, c.board, names, added};
  dispatcher outputs{c, table, names.local()};
  network_driver network{c, table, outputs, names.local(), std::make_unique<silent_network>()};

 private:
  protocol::association_setup setup() {
    protocol::association_setup s;
    s.entropy = &numbers;
    s.local_id = names.local().encoded();
    s.frame_limit = 65536;
    s.maximum_message = 1024;
    return s;
  }
};

}  // namespace

TEST_CASE("a removed peer leaves memory, the statistics, the timers and the table of names") {
  engine_room room;
  std::weak_ptr<peer> left = room.make("b").weak_from_this();
  room.run();
  peer& p = *left.lock();
  p.core.handle_session_up(room.c.now());
  room.outputs.service(p);
  room.run();
  CHECK(room.table.timers().earliest() != protocol::never);
  CHECK(room.c.board.read(room.c.now()).peers.size() == 1);

  room.outputs.remove(p);
  room.run();
  CHECK(left.expired());
  CHECK(room.table.size() == 0);
  room.table.drain_changed([](const peer&) { FAIL("a removed peer is still listed"); });
  CHECK(room.table.timers().earliest() == protocol::never);
  CHECK(room.c.board.read(room.c.now()).peers.empty());
  CHECK(room.names.find("b") == nullptr);
}

TEST_CASE("a removed peer that comes again begins as one that was never there") {
  engine_room room;
  peer& before = room.make("b");
  before.frames_sent = 7;
  room.outputs.remove(before);
  peer& after = room.make("b");
  room.run();
  CHECK(after.frames_sent == 0);
  CHECK(room.table.size() == 1);
  room.c.events.put(named_event(after.name, event_record(event_kind::peer_connected)),
                    room.c.now());
  CHECK(room.names.find("b") == after.name.get());
}

TEST_CASE("peers that are removed before they ran once end as well") {
  engine_room room;
  std::weak_ptr<peer> left = room.make("b").weak_from_this();
  room.outputs.remove(*left.lock());
  room.run();
  CHECK(left.expired());
}

TEST_CASE("a peer among many is removed from each list that it is on, and the others stay") {
  engine_room room;
  std::vector<peer*> all;
  for (const char* id : {"b", "c", "d"}) all.push_back(&room.make(id));
  for (peer* p : all) {
    room.table.list_changed(*p);
    room.table.list_due(*p);
    room.table.list_unflushed(*p);
    room.outputs.wait_for_room(*p);
    room.table.timers().arm(*p, 1s);
  }
  room.outputs.remove(*all[1]);
  CHECK_FALSE(room.table.has_due_change(room.c.now()));
  std::vector<peer*> changed;
  room.table.drain_changed([&](peer& p) { changed.push_back(&p); });
  CHECK(changed == std::vector<peer*>{all[0], all[2]});
  std::vector<peer*> unflushed;
  room.table.drain_unflushed([&](peer& p) { unflushed.push_back(&p); });
  CHECK(unflushed == std::vector<peer*>{all[0], all[2]});
  CHECK(room.table.timers().take_due(1s) == all[0]);
  CHECK(room.table.timers().take_due(1s) == all[2]);
  CHECK(room.table.timers().take_due(1s) == nullptr);
  room.outputs.admit_deliveries();
}
