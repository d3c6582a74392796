#include "support/late_handlers.hpp"

#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/steps.hpp"

#include <algorithm>
#include <optional>

using namespace test;

// Handlers that go on although they are cancelled: no successor on the store begins a message that
// one of them has, and after a shutdown nothing is taken twice.

namespace {

using stubborn = stubborn_of<std::string>;
using stubborn_messenger = ilm::messenger<backend, network, stubborn>;
using strings = std::vector<std::string>;

/// b, whose handler is stubborn, and a, which sends to it.
struct late_world {
  late_world() {
    a.start();
    start();
  }

  /// The handlers that wait hold what they wait for.
  ~late_world() { app->waiting.clear(); }

  void start() {
    b = std::make_unique<stubborn_messenger>(w.context, backend(disk, faults), w.net.join("b"),
                                             stubborn(app), ilm::options(), ilm::start_later);
    events->clear();
    b->on_event([told = events](const event& e) { told->push_back(e); });
    b->start();
  }
  /// Sends to b, and waits until the handler has it.
  void begin(const std::string& text) {
    store_all(w, a, "b", {text});
    REQUIRE(w.until([&] { return app->waiting.count(text) == 1; }));
  }
  report shut_down(std::chrono::nanoseconds limit) {
    auto end = [](stubborn_messenger& m, std::chrono::nanoseconds l) -> asio::awaitable<report> {
      co_return co_await m.shutdown(l);
    };
    return w.run(end(*b, limit), limit + 10s);
  }
  bool store_is_free() {
    try {
      w.run(open_store(disk));
      return true;
    } catch (const std::system_error& e) {
      CHECK(e.code() == ilm::error::store_in_use);
      return false;
    }
  }
  /// How many events the messenger that runs now has told.
  std::size_t count(ilm::event_kind kind) const {
    return static_cast<std::size_t>(std::count_if(events->begin(), events->end(),
                                                  [&](const event& e) { return e.kind == kind; }));
  }

  world w;
  peer a = w.make("a");
  store disk;
  std::shared_ptr<ilm::testing::store_faults> faults =
      std::make_shared<ilm::testing::store_faults>();
  std::shared_ptr<calls> app = std::make_shared<calls>();
  std::shared_ptr<std::vector<event>> events = std::make_shared<std::vector<event>>();
  std::unique_ptr<stubborn_messenger> b;
};

}  // namespace

TEST_CASE(
    "a handler that outlives a shutdown ends before the successor begins, and takes it once") {
  bool destroyed = GENERATE(true, false);
  late_world l;
  l.begin("x");
  auto before = test::clock::now();
  report r = l.shut_down(1s);
  CHECK(test::clock::now() - before <= 1s + 400ms);
  CHECK(r.unread == 1);
  CHECK(r.running == 1);
  REQUIRE(r.peers.size() == 1);
  CHECK(r.peers[0].running == 1);
  CHECK_FALSE(l.store_is_free());
  std::unique_ptr<stubborn_messenger> old;
  if (!destroyed) old = std::move(l.b);
  l.start();
  l.w.run_for(1min);
  CHECK(l.app->begun == strings{"x"});
  CHECK(l.app->running() == 1);
  REQUIRE(l.count(ilm::event_kind::store_failed) == 1);
  CHECK(l.events->front().error == ilm::error::store_in_use);
  l.app->let_go("x");
  REQUIRE(l.w.until([&] { return empty(l.a) && l.disk.size(ilm::queue::inbox) == 0; }));
  l.w.run_for(1min);
  CHECK(l.app->begun == strings{"x"});
  CHECK(l.app->ended == strings{"x"});
  CHECK(l.a.app().texts() == strings{"re: x"});
  CHECK(l.count(ilm::event_kind::store_recovered) == 1);
  l.begin("y");
  CHECK(l.app->begun == strings{"x", "y"});
  l.app->let_go("y");
  REQUIRE(l.w.until([&] { return l.a.app().consumed.size() == 2; }));
  CHECK_FALSE(l.app->overlapped);
}

TEST_CASE("a second shutdown waits for a handler that goes on, and reports what it did") {
  late_world l;
  l.begin("x");
  CHECK(l.shut_down(0s).running == 1);
  auto before = test::clock::now();
  report still = l.shut_down(5s);
  CHECK(test::clock::now() - before == 5s);
  CHECK(still.running == 1);
  CHECK(still.unread == 1);
  std::optional<report> last;
  l.b->shutdown(1h, [&](std::error_code failed, report r) {
    CHECK_FALSE(failed);
    last = std::move(r);
  });
  l.w.run_for(1min);
  CHECK_FALSE(last);
  l.app->let_go("x");
  l.w.run_for(0s);
  REQUIRE(last);
  CHECK(last->running == 0);
  CHECK(last->unread == 0);
  CHECK(last->undelivered == 1);  // its reply
  CHECK(l.store_is_free());
  CHECK(l.shut_down(0s).undelivered == 1);
}

TEST_CASE("each message that a late handler consumes is recorded although others go on") {
  late_world l;
  peer c = l.w.make("c");
  c.start();
  l.begin("x");
  store_all(l.w, c, "b", {"y"});
  REQUIRE(l.w.until([&] { return l.app->waiting.size() == 2; }));
  CHECK(l.shut_down(0s).running == 2);
  l.b.reset();
  l.app->let_go("x");
  l.w.run_for(0s);
  // A power cut now, say: x is not among those that come again.
  CHECK(l.disk.size(ilm::queue::inbox) == 1);
  CHECK(cursors_of(l.w, l.disk, "a").inbox.delivered() == 1);
  CHECK(cursors_of(l.w, l.disk, "a").outbox.next == 2);
  CHECK_FALSE(l.store_is_free());
  l.app->let_go("y");
  l.w.run_for(0s);
  CHECK(l.disk.size(ilm::queue::inbox) == 0);
  CHECK(l.store_is_free());
}

TEST_CASE("a late handler that fails leaves its message to the successor") {
  late_world l;
  l.begin("x");
  CHECK(l.shut_down(0s).running == 1);
  l.app->throws = true;
  l.app->let_go("x");
  l.w.run_for(0s);
  CHECK(l.disk.size(ilm::queue::inbox) == 1);
  CHECK(l.store_is_free());
  l.app->throws = false;
  l.start();
  REQUIRE(l.w.until([&] { return l.app->begun.size() == 2; }));
  CHECK_FALSE(l.app->overlapped);
}

TEST_CASE("what a handler did is recorded if it ends while a shutdown is at its end") {
  late_world l;
  l.begin("x");
  // The last batch has a message that came in the grace, and takes a while.
  l.faults->watch = [&](ilm::testing::store_faults::operation, bool after) {
    if (!after) l.faults->commit_time = 1s;
  };
  std::optional<report> ended;
  l.b->shutdown(0s, [&](std::error_code, report r) { ended = std::move(r); });
  l.w.run_for(100ms);
  l.a.send("b", "y");
  l.w.run_for(200ms);
  CHECK_FALSE(ended);
  l.app->let_go("x");
  REQUIRE(l.w.until([&] { return ended.has_value(); }));
  CHECK(ended->running == 0);
  CHECK(ended->unread == 1);
  CHECK(ended->undelivered == 1);
  CHECK(l.disk.size(ilm::queue::inbox) == 1);
  CHECK(cursors_of(l.w, l.disk, "a").inbox.delivered() == 1);
  CHECK(l.store_is_free());
}

TEST_CASE("a shutdown that has reported a handler is the end for all but that handler") {
  late_world l;
  l.begin("x");
  peer c = l.w.make("c");
  std::vector<std::error_code> ended;
  auto keep = [&](std::error_code failed) { ended.push_back(failed); };
  std::uint64_t sequence = 0;
  l.b->send_to("c", "never comes", [&](std::error_code, std::uint64_t s) { sequence = s; });
  REQUIRE(l.w.until([&] { return sequence != 0; }));
  auto ask = [&] {
    l.b->wait_delivered("c", sequence, keep);
    l.b->connected("c", keep);
    l.b->send_to("c", "late", [&](std::error_code failed, std::uint64_t) { keep(failed); });
    l.b->forget("c", [&](std::error_code failed, ilm::forget_report) { keep(failed); });
  };
  l.b->wait_delivered("c", sequence, keep);
  l.b->connected("c", keep);
  CHECK(l.shut_down(0s).undelivered == 1);
  l.w.run_for(0s);
  CHECK(ended == std::vector<std::error_code>(2, ilm::error::shut_down));
  ask();
  l.w.run_for(0s);
  CHECK(ended == std::vector<std::error_code>(6, ilm::error::shut_down));
  bool read_out = false;
  std::function<void()> read = [&] {
    l.b->next_event([&](std::error_code failed, const event&) {
      if (!failed) return read();
      read_out = failed == ilm::error::shut_down;
    });
  };
  read();
  l.w.run_for(1s);
  CHECK(read_out);
  CHECK(l.b->connected_peers().empty());
  CHECK(l.a.connected_peers().empty());
  CHECK(work_within(l.w, 1h) < 2000);  // a looks for b
  l.a.crash();
  l.w.run_for(0s);
  CHECK(work_within(l.w, 1h) < 50);
  CHECK(l.app->running() == 1);
  l.app->let_go("x");
  l.w.run_for(0s);
  CHECK(l.store_is_free());
  l.b.reset();
  l.w.run_for(0s);
  CHECK(l.app.use_count() == 1);
}

TEST_CASE("a messenger that was destroyed keeps the store until the last handler has ended") {
  late_world l;
  peer c = l.w.make("c");
  c.start();
  l.begin("x");
  store_all(l.w, c, "b", {"y"});
  REQUIRE(l.w.until([&] { return l.app->waiting.size() == 2; }));
  l.b.reset();
  l.w.run_for(1s);
  CHECK_FALSE(l.store_is_free());
  l.app->let_go("y");
  l.w.run_for(1s);
  CHECK_FALSE(l.store_is_free());
  l.app->let_go("x");
  l.w.run_for(0s);
  CHECK(l.store_is_free());
  CHECK(l.app.use_count() == 1);
}

TEST_CASE("a messenger that was destroyed keeps the store until its handlers have ended") {
  late_world l;
  l.begin("x");
  SECTION("by its destructor") { l.start(); }
  SECTION("by an assignment") {
    stubborn_messenger next(l.w.context, backend(l.disk, l.faults), l.w.net.join("b"),
                            stubborn(l.app));
    *l.b = std::move(next);
  }
  SECTION("while its shutdown drains") {
    l.b->shutdown(1h, [](std::error_code, const report&) {});
    l.w.run_for(1s);
    l.start();
  }
  l.w.run_for(1min);
  CHECK(l.app->begun == strings{"x"});
  CHECK_FALSE(l.store_is_free());
  l.app->let_go("x");
  // As after a crash, what it did is not recorded.
  REQUIRE(l.w.until([&] { return l.app->begun.size() == 2; }));
  CHECK(l.app->begun == strings{"x", "x"});
  CHECK_FALSE(l.app->overlapped);
  l.app->let_go("x");
  REQUIRE(l.w.until([&] { return l.a.app().consumed.size() == 1; }));
  CHECK(l.a.app().texts() == strings{"re: x"});
}

namespace {

/// A peer id with a comparison that throws once, on request.
struct fragile_id {
  fragile_id() = default;
  fragile_id(const char* text) : name(text) {}

  static bool& breaks() {
    static bool now = false;
    return now;
  }
  friend bool operator==(const fragile_id&, const fragile_id&) = default;
  friend auto operator<=>(const fragile_id& left, const fragile_id& right) {
    if (std::exchange(breaks(), false)) throw std::runtime_error("broken");
    return left.name <=> right.name;
  }

  std::string name;
};

}  // namespace

template <>
struct ilm::codec<fragile_id> {
  static void encode(const fragile_id& id, std::vector<std::byte>& out) {
    codec<std::string>::encode(id.name, out);
  }
  static fragile_id decode(std::span<const std::byte> in) {
    fragile_id id;
    id.name = codec<std::string>::decode(in);
    return id;
  }
};

namespace {

/// A network that has the next comparison of ids throw, on request: it is the engine's, for the
/// peer of what was received.
class tripping_network {
 public:
  using inner_type = ilm::memory_network<fragile_id, test::clock>;
  using clock_type = test::clock;
  static constexpr bool reliable = inner_type::reliable;

  tripping_network(inner_type inner, std::shared_ptr<bool> armed)
      : inner_(std::move(inner)), armed_(std::move(armed)) {}

  fragile_id local_id() const { return inner_.local_id(); }
  std::size_t maximum_frame_size() const { return inner_.maximum_frame_size(); }
  asio::awaitable<void> send(const fragile_id& to, std::vector<std::byte> frame) {
    co_await inner_.send(to, std::move(frame));
  }
  asio::awaitable<ilm::network_event<fragile_id>> receive() {
    ilm::network_event<fragile_id> e = co_await inner_.receive();
    if (std::exchange(*armed_, false)) fragile_id::breaks() = true;
    co_return e;
  }

 private:
  inner_type inner_;
  std::shared_ptr<bool> armed_;
};

}  // namespace

TEST_CASE("a messenger that failed keeps the store until its handlers have ended") {
  using disk_type = ilm::memory_backend<fragile_id>;
  using node = ilm::messenger<disk_type, tripping_network, stubborn_of<fragile_id>>;
  world w;
  ilm::memory_fabric<fragile_id, test::clock> net;
  auto app = std::make_shared<calls>();
  auto never = std::make_shared<bool>(false), armed = std::make_shared<bool>(false);
  disk_type disk;
  stubborn_of<fragile_id> handler(app);
  node a(w.context, disk_type(), tripping_network(net.join("a"), never), handler);
  std::optional<node> b;
  b.emplace(w.context, disk, tripping_network(net.join("b"), armed), handler);
  a.send_to("b", "x", [](std::error_code, std::uint64_t) {});
  REQUIRE(w.until([&] { return app->running() == 1; }));
  std::vector<ilm::event_kind> told;
  b->on_event([&](const ilm::event<fragile_id>& e) { told.push_back(e.kind); });
  *armed = true;
  a.send_to("b", "y", [](std::error_code, std::uint64_t) {});
  w.run_for(1s);
  CHECK_FALSE(fragile_id::breaks());
  CHECK(told == std::vector{ilm::event_kind::messenger_failed});
  b.emplace(w.context, disk, tripping_network(net.join("b"), never), handler);
  w.run_for(1min);
  CHECK(app->begun == strings{"x"});
  app->let_go("x");
  REQUIRE(w.until([&] { return app->begun.size() == 2; }));
  CHECK(app->begun == strings{"x", "x"});
  CHECK_FALSE(app->overlapped);
  app->waiting.clear();
}

TEST_CASE("a call whose coroutine is destroyed has ended, and its message is offered again") {
  late_world l;
  l.begin("x");
  l.app->waiting.clear();
  SECTION("by a messenger that goes on") {
    REQUIRE(l.w.until([&] { return l.app->begun.size() == 2; }));
    REQUIRE(l.count(ilm::event_kind::delivery_failed) == 1);
    CHECK(l.events->back().inbound == ilm::sequence_range{1, 1});
    l.app->let_go("x");
    REQUIRE(l.w.until([&] { return l.a.app().consumed.size() == 1; }));
    CHECK(l.shut_down(1h).unread == 0);
  }
  SECTION("by the next one after a shutdown") {
    report r = l.shut_down(1h);
    CHECK(r.running == 0);
    CHECK(r.unread == 1);
  }
  SECTION("by the next one where the messenger is destroyed") { l.b.reset(); }
  l.w.run_for(0s);
  CHECK(l.store_is_free());
}

TEST_CASE("a call whose coroutine is destroyed keeps no store, whatever ended its messenger") {
  late_world l;
  l.begin("x");
  SECTION("a shutdown that reported") { CHECK(l.shut_down(0s).running == 1); }
  SECTION("its destruction") { l.b.reset(); }
  l.w.run_for(1s);
  CHECK_FALSE(l.store_is_free());
  l.app->waiting.clear();
  l.w.run_for(0s);
  CHECK(l.store_is_free());
  CHECK(l.disk.size(ilm::queue::inbox) == 1);
}

TEST_CASE("a context that is destroyed keeps no store for a handler that will never go on") {
  // Whatever these handlers wait for keeps them, and neither calls nor destroys them any more.
  static auto& kept = *new std::vector<std::shared_ptr<calls>>();
  bool shut_down = GENERATE(false, true);
  bool ended = GENERATE(false, true);
  fabric net;
  store disk;
  auto app = std::make_shared<calls>();
  kept.push_back(app);
  auto context = std::make_unique<asio::io_context>(1);
  {
    peer a(*context, net, "a");
    a.start();
    stubborn_messenger b(*context, backend(disk), net.join("b"), stubborn(app));
    a.send("b", "x");
    REQUIRE(clock::run_until(
        *context, [&] { return app->running() == 1; }, 10s));
    if (shut_down) b.shutdown(0s, [](std::error_code, const report&) {});
    clock::run_for(*context, 1s);
  }
  // The end of the messengers is only posted, or has come.
  if (ended) clock::run_for(*context, 1s);
  clock::reset();
  context.reset();
  CHECK(app->waiting.size() == 1);
  world w;
  CHECK_NOTHROW(w.run(open_store(disk)));
}
