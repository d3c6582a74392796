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

TEST_CASE("of 100,000 stored peers only those are made for which there is something to do") {
  engine_room room;
  incarnation local{1, 2};
  auto stored = [&](const std::string& id) {
    return protocol::begin_history(local, bytes(id).view());
  };
  for (int i = 0; i < 100'000; ++i) {
    std::string id = "peer" + std::to_string(i);
    CHECK(room.table.add_stored(room.names.add(id), stored(id)) == nullptr);
  }
  cursors waiting = stored("c");
  waiting.outbox.next = 3;
  CHECK(room.table.add_stored(room.names.add("c"), waiting) != nullptr);
  CHECK(room.table.size() == 1);
  CHECK(room.c.board.read(room.c.now()).peers.size() == 100'001);
  CHECK(peers::undelivered(*room.names.find("c")) == sequence_range{1, 2});
  CHECK(peers::undelivered(*room.names.find("peer7")).empty());
  CHECK(room.table.find(room.names.find("peer7"))->name ==
        room.names.find("peer7")->shared_from_this());
  CHECK(room.table.size() == 2);
}

TEST_CASE("a peer that leaves memory comes again with its cursors, its figures and its network") {
  engine_room room;
  peer_name& name = room.names.add("b");
  room.table.add_stored(name, protocol::begin_history(incarnation{1, 2}, bytes("b").view()));
  std::weak_ptr<peer> left = room.table.of(name).weak_from_this();
  room.run();
  peer& before = *left.lock();
  cursors stored = before.core.stored();
  before.accepted = 7;
  before.frames_sent = 3;
  before.core.handle_session_down();
  room.outputs.service(before);
  room.table.timers().arm(before, 1s);
  REQUIRE(before.leaves_at() <= room.c.now());
  room.table.leave(before);
  room.run();
  CHECK(left.expired());
  CHECK(room.table.size() == 0);
  CHECK(room.table.timers().earliest() == protocol::never);
  CHECK(room.table.resting().earliest() == protocol::never);
  CHECK(room.names.find("b") == &name);

  peer& after = *room.table.find(&name);
  CHECK(after.core.stored() == stored);
  CHECK(after.core.is_down());
  CHECK(after.accepted == 7);
  CHECK(after.frames_sent == 3);
  CHECK(room.c.board.read(room.c.now()).peers.size() == 1);
}

TEST_CASE("a peer stays in memory while anything is known of it that is not stored") {
  engine_room room;
  peer_name& name = room.names.add("b");
  room.table.add_stored(name, protocol::begin_history(incarnation{1, 2}, bytes("b").view()));
  peer& p = room.table.of(name);
  auto may_leave = [&] { return p.leaves_at() != protocol::never; };
  CHECK(may_leave());
  SECTION("a network that has a session with it") { p.has_network = true; }
  SECTION("the last error of a send, of which the event is not to be repeated") {
    p.send_error = error::would_block;
  }
  SECTION("a change that the store refused") { p.refused = true; }
  SECTION("a failure that was told, and whose end is to be told") { p.failure_told = true; }
  SECTION("a store that may have none of it") { name.in_store = false; }
  SECTION("a frame that is with the network") { p.writing = true; }
  SECTION("a message that is with the application") { p.delivering = true; }
  SECTION("a handshake") { p.core.handle_session_up(room.c.now()); }
  SECTION("a message that the store does not have yet") {
    CHECK_FALSE(p.core.handle_send(protocol::send_id{0}, payload(bytes("contents"))));
  }
  CHECK_FALSE(may_leave());
}
