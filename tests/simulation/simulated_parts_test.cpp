// The parts of the simulator by themselves: the scheduler, the network and the store.

#include "simulation/wire_writer.hpp"
#include "support/catch.hpp"

#include <ilm/testing/scheduler.hpp>
#include <ilm/testing/simulated_clock.hpp>
#include <ilm/testing/simulated_network.hpp>
#include <ilm/testing/simulated_store.hpp>

#include <asio/bind_cancellation_slot.hpp>
#include <asio/co_spawn.hpp>
#include <asio/strand.hpp>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace {

using namespace std::chrono_literals;
using clock = ilm::testing::simulated_clock;
using ilm::testing::scheduler;
using fabric = ilm::testing::simulated_fabric<std::string>;
using network = ilm::testing::simulated_network<std::string>;
using disk = ilm::testing::simulated_disk<std::string>;
using store = ilm::testing::simulated_store<std::string>;

static_assert(ilm::network<network>);
static_assert(ilm::backend<store, std::string>);

/// Runs a coroutine to its end; the error that it threw, if any.
std::error_code run(scheduler& s, asio::awaitable<void> work) {
  std::error_code thrown;
  bool done = false;
  asio::co_spawn(s, std::move(work), [&](std::exception_ptr e) {
    done = true;
    try {
      if (e) std::rethrow_exception(e);
    } catch (const std::system_error& failed) {
      thrown = failed.code();
    }
  });
  REQUIRE(clock::run_until(s, [&] { return done; }));
  return thrown;
}

std::vector<std::byte> one_byte(int value) { return {static_cast<std::byte>(value)}; }

/// Records the events of `at`: "+a" and "-a" for sessions, "a1" for frames.
struct receiver {
  receiver(scheduler& s, network net) : at(std::make_shared<network>(std::move(net))) {
    asio::co_spawn(s, receive(at, seen), asio::detached);
  }
  static asio::awaitable<void> receive(std::shared_ptr<network> net,
                                       std::shared_ptr<std::vector<std::string>> into) {
    for (;;) {
      ilm::network_event<std::string> e = co_await net->receive();
      using type = ilm::network_event<std::string>::type;
      if (e.kind == type::up) into->push_back("+" + e.peer);
      if (e.kind == type::down) into->push_back("-" + e.peer);
      if (e.kind == type::frame) {
        into->push_back(e.peer + std::to_string(std::to_integer<int>(e.bytes.at(0))));
      }
    }
  }

  std::shared_ptr<network> at;
  std::shared_ptr<std::vector<std::string>> seen = std::make_shared<std::vector<std::string>>();
};

using texts = std::vector<std::string>;

ilm::batch<std::string> append(std::uint64_t first, std::uint64_t count) {
  ilm::batch<std::string> b;
  b.new_incarnation = ilm::incarnation{1, 2};
  ilm::cursors after;
  after.outbox.next = first + count;
  ilm::peer_change<std::string>& c = b.changes.emplace_back("b", after);
  for (std::uint64_t i = first; i < first + count; ++i) {
    c.outbox.emplace_back(i, i, 7, ilm::stream_hash{}, ilm::bytes("x"));
  }
  return b;
}

}  // namespace

TEST_CASE("a scheduler runs handlers in the order in which they were posted") {
  scheduler s;
  std::vector<int> order;
  asio::post(s, [&] {
    order.push_back(1);
    asio::post(s, [&] { order.push_back(3); });
  });
  asio::post(s, [&] { order.push_back(2); });
  CHECK(s.poll_one() == 1);
  CHECK(order == std::vector<int>{1});
  CHECK(s.poll() == 2);
  CHECK(order == std::vector<int>{1, 2, 3});
  CHECK(s.poll_one() == 0);
}

TEST_CASE("a scheduler's executor fits any_io_executor and strands") {
  scheduler s;
  asio::any_io_executor any(s.get_executor());
  auto strand = asio::make_strand(any);
  bool inside = false;
  asio::dispatch(strand, [&] { inside = strand.running_in_this_thread(); });
  CHECK_FALSE(inside);
  s.poll();
  CHECK(inside);
  CHECK(&asio::query(any, asio::execution::context) == &s);
}

TEST_CASE("a scheduler destroys handlers that it never ran") {
  auto token = std::make_shared<int>();
  {
    scheduler s;
    asio::post(s, [token] {});
    // Larger than the blocks that it recycles.
    asio::post(s, [token, large = std::array<char, 500>()] { static_cast<void>(large); });
    CHECK(token.use_count() == 3);
  }
  CHECK(token.use_count() == 1);
}

TEST_CASE("a jump of the clock makes everything due late, and in order") {
  clock::reset();
  scheduler s;
  std::vector<int> order;
  ilm::testing::simulated_timer first(s.get_executor(), 1s);
  ilm::testing::simulated_timer second(s.get_executor(), 2s);
  second.async_wait([&](std::error_code) { order.push_back(2); });
  first.async_wait([&](std::error_code) { order.push_back(1); });
  clock::jump(1h);
  CHECK(order.empty());
  clock::run_for(s, 0s);
  CHECK(order == std::vector<int>{1, 2});
  CHECK(clock::now().time_since_epoch() == 1h);
  clock::reset();
}

TEST_CASE("a simulated network carries frames with the delay of their direction") {
  clock::reset();
  scheduler s;
  fabric net;
  network a = net.join("a");
  receiver b(s, net.join("b"));
  ilm::testing::link_faults f;
  f.delay.least = 10ms;
  net.set_faults("a", "b", f);
  CHECK_FALSE(run(s, a.send("b", one_byte(1))));
  clock::run_for(s, 9ms);
  CHECK(*b.seen == texts{"+a"});
  clock::run_for(s, 1ms);
  CHECK(*b.seen == texts{"+a", "a1"});
  CHECK(net.counts().arrived == 1);
  clock::reset();
}

TEST_CASE("a clogged link of a simulated network lets all frames go at once") {
  clock::reset();
  scheduler s;
  fabric net;
  network a = net.join("a");
  receiver b(s, net.join("b"));
  net.clog("a", "b");
  run(s, a.send("b", one_byte(1)));
  run(s, a.send("b", one_byte(2)));
  clock::run_for(s, 1s);
  CHECK(*b.seen == texts{"+a"});
  net.unclog("a", "b");
  clock::run_for(s, 0s);
  CHECK(*b.seen == texts{"+a", "a1", "a2"});
  clock::reset();
}

TEST_CASE(
    "a simulated network hands over injected frames in the present session, past all faults") {
  clock::reset();
  scheduler s;
  fabric net;
  network a = net.join("a");
  receiver b(s, net.join("b"));
  int injected = 0;
  net.watch_injected([&](const auto&, const auto&, std::span<const std::byte>) { ++injected; });
  ilm::testing::link_faults f;
  f.loss = 1;
  net.set_faults("a", "b", f);
  net.inject("a", "b", one_byte(1));
  net.inject("a", "b", one_byte(2), 10ms);
  clock::run_for(s, 9ms);
  CHECK(*b.seen == texts{"+a", "a1"});
  net.connect("a", "b");
  clock::run_for(s, 1ms);
  CHECK(*b.seen == texts{"+a", "a1", "-a", "+a", "a2"});
  net.disconnect("a", "b");
  net.inject("a", "b", one_byte(3));
  clock::run_for(s, 1ms);
  CHECK(*b.seen == texts{"+a", "a1", "-a", "+a", "a2", "-a"});
  // It was dropped for good. A receiver left without a session would never be destroyed.
  net.connect("a", "b");
  clock::run_for(s, 1ms);
  CHECK(*b.seen == texts{"+a", "a1", "-a", "+a", "a2", "-a", "+a"});
  CHECK(injected == 2);
  CHECK(net.counts().injected == 2);
  CHECK(net.counts().sent == 0);
  CHECK(net.counts().arrived == 0);
  clock::reset();
}

TEST_CASE("a send on a stalled link waits, and ends when it is cancelled") {
  clock::reset();
  scheduler s;
  fabric net;
  network a = net.join("a");
  receiver b(s, net.join("b"));
  net.stall("a", "b");
  int done = 0;
  asio::cancellation_signal stop;
  std::string peer = "b";  // outlives the sends
  asio::co_spawn(s, a.send(peer, one_byte(1)), [&](std::exception_ptr) { ++done; });
  clock::run_for(s, 1s);
  CHECK(done == 0);
  net.resume("a", "b");
  clock::run_for(s, 0s);
  CHECK(done == 1);
  CHECK(*b.seen == texts{"+a", "a1"});
  net.stall("a", "b");
  bool aborted = false;
  asio::co_spawn(s, a.send(peer, one_byte(2)),
                 asio::bind_cancellation_slot(
                     stop.slot(), [&](std::exception_ptr e) { aborted = e != nullptr; }));
  clock::run_for(s, 0s);
  stop.emit(asio::cancellation_type::terminal);
  clock::run_for(s, 0s);
  CHECK(aborted);
  clock::reset();
}

TEST_CASE("a network that was ended sends nothing more, and the other peers get a down") {
  clock::reset();
  scheduler s;
  fabric net;
  network a = net.join("a");
  receiver b(s, net.join("b"));
  net.end("a");
  run(s, a.send("b", one_byte(1)));
  network again = net.join("a");
  run(s, again.send("b", one_byte(2)));
  clock::run_for(s, 1s);
  CHECK(*b.seen == texts{"+a", "-a", "+a", "a2"});
  clock::reset();
}

TEST_CASE("half of the heavy-tailed delays are within their spread, and some far beyond") {
  clock::reset();
  scheduler s;
  fabric net(7);
  network a = net.join("a");
  receiver b(s, net.join("b"));
  ilm::testing::link_faults f;
  f.delay.form = ilm::testing::frame_delay::shape::heavy_tailed;
  f.delay.spread = 1ms;
  net.set_faults(f);
  for (int i = 0; i < 1000; ++i) run(s, a.send("b", one_byte(1)));
  clock::run_for(s, 1ms);
  CHECK(net.counts().arrived > 400);
  CHECK(net.counts().arrived < 600);
  clock::run_for(s, 9ms);
  CHECK(net.counts().arrived > 950);
  CHECK(net.counts().arrived < 1000);
  clock::reset();
}

TEST_CASE("a commit that was under way at a crash has happened wholly or not at all") {
  for (bool lands : {false, true}) {
    clock::reset();
    scheduler s;
    disk d;
    store first(d);
    run(s, [](store& at) -> asio::awaitable<void> { co_await at.open(); }(first));
    d.behaviour().commit_time = 10ms;
    ilm::batch<std::string> change = append(1, 3);
    std::error_code failed;
    asio::co_spawn(s, first.commit(change), [&](std::exception_ptr e) {
      try {
        if (e) std::rethrow_exception(e);
      } catch (const std::system_error& why) {
        failed = why.code();
      }
    });
    clock::run_for(s, 5ms);
    d.crash(lands);
    clock::run_for(s, 1s);
    CHECK(failed == ilm::error::store_closed);
    CHECK(d.content().messages() == (lands ? 3U : 0U));
    store second(d);
    CHECK_FALSE(run(s, [](store& at) -> asio::awaitable<void> { co_await at.open(); }(second)));
    clock::reset();
  }
}

TEST_CASE("a power cut takes back commits that were not synced, the last ones first") {
  clock::reset();
  scheduler s;
  disk d;
  d.behaviour().syncs = false;
  store at(d);
  auto write = [](store& to, std::uint64_t first) -> asio::awaitable<void> {
    ilm::batch<std::string> change = append(first, 1);
    co_await to.commit(change);
  };
  run(s, [](store& to) -> asio::awaitable<void> { co_await to.open(); }(at));
  run(s, write(at, 1));
  d.sync();
  run(s, write(at, 2));
  run(s, write(at, 3));
  CHECK(d.unsynced() == 2);
  d.power_cut(1);
  CHECK(d.content().messages() == 2);
  CHECK(d.content().peers.at("b").where.outbox.next == 3);
  d.power_cut(0);
  CHECK(d.content().messages() == 2);
  clock::reset();
}

TEST_CASE("a full disk takes no more messages, and a flipped bit makes one unreadable") {
  clock::reset();
  scheduler s;
  disk d;
  store at(d);
  auto write = [](store& to, std::uint64_t first) -> asio::awaitable<void> {
    ilm::batch<std::string> change = append(first, 2);
    co_await to.commit(change);
  };
  std::size_t page_size = 0;
  auto read = [&](std::uint64_t from) -> asio::awaitable<void> {
    std::string peer = "b";
    auto page = co_await at.read(ilm::queue::outbox, peer, from, ilm::page_limit(10, 1000));
    page_size = page.size();
  };
  run(s, [](store& to) -> asio::awaitable<void> { co_await to.open(); }(at));
  d.behaviour().capacity = 3;
  CHECK_FALSE(run(s, write(at, 1)));
  CHECK(run(s, write(at, 3)) == std::errc::no_space_on_device);
  CHECK(d.content().messages() == 2);
  d.flip(ilm::queue::outbox, "b", 2);
  CHECK_FALSE(run(s, read(1)));
  CHECK(page_size == 1);
  CHECK(run(s, read(2)) == ilm::error::store_corrupt);
  d.repair();
  CHECK_FALSE(run(s, read(1)));
  CHECK(page_size == 2);
  clock::reset();
}

TEST_CASE("the encoder writes the challenge of the protocol's page, and hellos as they were read") {
  std::vector<std::byte> example;
  for (int b : {0x49, 0x4c, 0x00, 0xa5, 0,    0,    0,    0,    0,    0,    0,    0,    0x07,
                0x08, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0xff, 0xfc, 0x8d, 0xb1}) {
    example.push_back(static_cast<std::byte>(b));
  }
  CHECK(simulation::wire::write_challenge(0x1122334455667788) == example);
  simulation::wire::hello h;
  h.claim.mark = {1, 2};
  h.claim.delivered_hash = {3, 4};
  h.claim.credit_bytes = 5;
  h.proven = 1;
  h.erased_hash = {6, 7};
  h.maximum_message = 8;
  h.source = "a";
  h.destination = "b";
  auto frame = simulation::wire::read(simulation::wire::write_hello(h));
  REQUIRE((frame && frame->hello));
  CHECK(frame->hello->erased_hash == h.erased_hash);
  CHECK(frame->hello->destination == "b");
  CHECK(simulation::wire::write_hello(*frame->hello) == simulation::wire::write_hello(h));
}
