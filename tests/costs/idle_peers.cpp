#include "costs/steps.hpp"
#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <ilm/protocol/reconcile.hpp>
#include <ilm/runtime/statistics_board.hpp>

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

using namespace test;

namespace {

constexpr std::size_t few = 10, many = 100'000;

/// Has the store of `p` know so many peers that never come.
void add_idle_peers(world& w, peer& p, std::size_t count) {
  ilm::incarnation local{1, 2};
  ilm::batch<std::string> first;
  first.new_incarnation = local;
  for (std::size_t i = 0; i < count; ++i) {
    std::string name = "idle" + std::to_string(i);
    first.changes.emplace_back(name, ilm::protocol::begin_history(local, ilm::bytes(name).view()));
  }
  w.run(open_and_commit(p.disk(), std::move(first)));
}

/// a with so many idle peers, and b, in a session.
struct crowd {
  explicit crowd(std::size_t idle) : a(w.make("a")), b(w.make("b")) {
    add_idle_peers(w, a, idle);
    a.start();
    b.start();
    store_all(w, a, "b", {"first"});
    REQUIRE(w.until([&] { return empty(a) && b.app().consumed.size() == 1; }));
    w.run_for(1s);
  }

  world w;
  peer a, b;
};

/// The steps of a message, each of which is sent when the one before it has arrived.
double steps_of_a_message(std::size_t idle) {
  crowd c(idle);
  double took = steps_of([&] {
    for (int i = 0; i < 100; ++i) {
      c.a.send("b", "message");
      c.w.run_for(20ms);
    }
  });
  REQUIRE(c.b.app().consumed.size() == 101);
  return took / 100;
}

/// The steps of a message while a shutdown waits for it and for others.
double steps_of_a_draining_message(std::size_t idle) {
  crowd c(idle);
  c.b.app().time = 1ms;
  store_all(c.w, c.a, "b", numbered(200));
  asio::co_spawn(c.w.context, c.a.shutdown(1h), [](std::exception_ptr, const report&) {});
  c.w.run_for(10ms);
  std::size_t before = c.b.app().consumed.size();
  double took =
      steps_of([&] { c.w.until([&] { return c.b.app().consumed.size() >= before + 100; }); });
  REQUIRE(c.b.app().consumed.size() == before + 100);
  return took / 100;
}

/// The statistics of so many peers.
struct board {
  explicit board(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto name = std::make_shared<ilm::runtime::typed_name<std::size_t>>(i);
      last = &all.add(std::move(name));
    }
  }

  ilm::runtime::statistics_board all;
  ilm::runtime::statistics_board::entry* last = nullptr;
};

}  // namespace

TEST_CASE("a message costs the same beside 10 idle peers and beside 100,000") {
  double beside_few = steps_of_a_message(few);
  double beside_many = steps_of_a_message(many);
  CAPTURE(beside_few, beside_many);
  CHECK(beside_many < 1.5 * beside_few);
}

TEST_CASE("a message that a shutdown drains costs the same beside 10 idle peers and 100,000") {
  double beside_few = steps_of_a_draining_message(few);
  double beside_many = steps_of_a_draining_message(many);
  CAPTURE(beside_few, beside_many);
  CHECK(beside_many < 1.5 * beside_few);
}

TEST_CASE("the engine waits for no more of the statistics of 100,000 peers than of 1,000") {
  auto largest_slice = [](std::size_t count) {
    board b(count);
    ilm::runtime::named_statistics s;
    s.peers.reserve(2 * count);
    double most = 0;
    for (bool more = true; more;) {
      most = std::max(most, steps_of([&] { more = b.all.read_slice(s, 0ns); }));
      // The lock is free between two slices.
      ilm::peer_figures figures;
      figures.accepted = 7;
      b.all.publish(*b.last, figures, 0ns, {});
    }
    CHECK(s.peers.size() == count);
    CHECK(s.peers.back().second.accepted == 7);
    return most;
  };
  double of_few = largest_slice(1'000);
  double of_many = largest_slice(many);
  CAPTURE(of_few, of_many);
  CHECK(of_many < 1.5 * of_few);
}
