#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/sleep.hpp"
#include "support/steps.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

using namespace test;

// While a part takes its time and nothing else happens, a messenger has nothing to do.

namespace {

/// A network whose sends end as long as they do not hang.
class hanging_network {
 public:
  using clock_type = test::clock;
  static constexpr bool reliable = false;

  hanging_network(network inner, std::shared_ptr<bool> hangs)
      : inner_(std::move(inner)), hangs_(std::move(hangs)) {}

  std::string local_id() const { return inner_.local_id(); }
  std::size_t maximum_frame_size() const { return inner_.maximum_frame_size(); }
  asio::awaitable<void> send(std::string to, std::vector<std::byte> frame) {
    std::shared_ptr<bool> hangs = hangs_;
    if (*hangs) co_await sleep_for(10'000h);
    co_await inner_.send(to, std::move(frame));
  }
  asio::awaitable<ilm::network_event<std::string>> receive() { return inner_.receive(); }

 private:
  network inner_;
  std::shared_ptr<bool> hangs_;
};

using hanging_messenger = ilm::messenger<store, hanging_network, handler>;

/// A messenger under the name "a" whose network hangs when it is told to.
struct hanging_peer {
  explicit hanging_peer(world& w, ilm::options o = {})
      : m(w.context, disk, hanging_network(w.net.join("a"), hangs), handler(app), std::move(o)) {}

  std::shared_ptr<bool> hangs = std::make_shared<bool>(false);
  std::shared_ptr<application> app = std::make_shared<application>();
  store disk;
  hanging_messenger m;
};

/// No more than this in ten seconds, for each peer: keepalives and retransmissions of growing
/// distance, a few handlers each.
constexpr std::size_t most_handlers = 300;

}  // namespace

TEST_CASE("a network that never ends a send of the handshake leaves a messenger idle") {
  world w;
  hanging_peer a(w);
  *a.hangs = true;
  std::vector<network> others;
  for (int i = 0; i < 100; ++i) others.push_back(w.net.join("b" + std::to_string(i)));
  w.run_for(10s);
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a session whose network never ends a send is ended by the keepalive, and costs little") {
  world w;
  peer b = w.make("b");
  hanging_peer a(w);
  b.start();
  REQUIRE(w.until([&] { return a.m.connected_peers().size() == 1; }));
  *a.hangs = true;
  a.m.send_to("b", "stuck", [](std::error_code, std::uint64_t) {});
  w.run_for(1s);
  crash(w, b);
  CHECK(work_within(w, 10s) < most_handlers);
  REQUIRE(w.until([&] { return a.m.connected_peers().empty(); }));
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a store that never ends a commit leaves a messenger idle") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  a.store_faults().commit_time = 10'000h;
  a.send("b", "stuck");
  b.send("a", "stuck as well");
  w.run_for(10s);
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a store that never ends its opening leaves a messenger idle") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.store_faults().open_time = 10'000h;
  a.start();
  b.start();
  a.send("b", "waits");
  w.run_for(1s);
  crash(w, b);
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a store that never ends a page leaves a messenger idle") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  store_all(w, a, "b", numbered(10));
  a.store_faults().read_time = 10'000h;
  b.start();
  REQUIRE(w.until([&] { return a.connected_peers().size() == 1; }));
  w.run_for(10s);
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a delivery that never ends leaves a messenger idle") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.app().time = 10'000h;
  a.start();
  b.start();
  store_all(w, a, "b", numbered(10));
  w.run_for(10s);
  CHECK(work_within(w, 10s) < most_handlers);
}

TEST_CASE("a shutdown that waits leaves a messenger idle") {
  world w;
  peer a = w.make("a"), b = w.make("b");
  b.app().time = 10'000h;
  a.start();
  b.start();
  store_all(w, a, "b", numbered(10));
  w.run_for(1s);
  asio::co_spawn(w.context, a.shutdown(1h), [](std::exception_ptr, const report&) {});
  w.run_for(10s);
  CHECK(work_within(w, 10s) < most_handlers);
}
