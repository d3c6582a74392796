#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/sleep.hpp"
#include "support/steps.hpp"

#include <asio/steady_timer.hpp>

#include <deque>
#include <functional>
#include <optional>

using namespace test;
using ilm::event_kind;

// An exception of a user's part has an error and a text in the event.

namespace {

constexpr ilm::error without_code = ilm::error::exception_without_code;

/// Reads all events of a messenger while it lives.
template <class Messenger>
void read_events(Messenger& m, std::vector<typename Messenger::event_type>& into) {
  m.next_event([&m, &into](std::error_code failed, typename Messenger::event_type e) {
    if (failed) return;
    into.push_back(std::move(e));
    read_events(m, into);
  });
}

template <class Event>
const Event* find(const std::vector<Event>& events, event_kind kind) {
  for (const Event& e : events) {
    if (e.kind == kind) return &e;
  }
  return nullptr;
}

/// Has b's handler throw, and gives the event.
event event_of_handler(std::function<void()> throws) {
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  b.start();
  b.watch();
  bool first = true;
  b.app().check = [&](const message&) {
    if (std::exchange(first, false)) throws();
  };
  a.send("b", "0");
  REQUIRE(w.until([&] { return b.app().consumed.size() == 1; }));
  REQUIRE(b.count(event_kind::delivery_failed) == 1);
  event e = *b.find(event_kind::delivery_failed);
  CHECK(e.peer == "a");
  CHECK(e.inbound == ilm::sequence_range{1, 1});
  return e;
}

}  // namespace

TEST_CASE("the text that a handler threw is in the event") {
  event e = event_of_handler([] { throw std::runtime_error("order book is closed"); });
  CHECK(e.error == without_code);
  CHECK(e.error != std::errc::io_error);
  CHECK(e.text == "order book is closed");
  CHECK(describe(e) == "a: delivery_failed inbound 1..1: order book is closed");
}

TEST_CASE("the error that a handler threw keeps its code, with the text that it came with") {
  std::error_code full = std::make_error_code(std::errc::no_space_on_device);
  event e = event_of_handler([&] { throw std::system_error(full, "journal"); });
  CHECK(e.error == full);
  CHECK(e.text == "journal: " + full.message());
  e = event_of_handler([&] { throw std::system_error(full); });
  CHECK(e.error == full);
  CHECK(e.text.empty());
  CHECK(describe(e) == "a: delivery_failed inbound 1..1: " + full.message());
}

TEST_CASE("a handler may throw anything") {
  CHECK(event_of_handler([] { throw 42; }).text == "an exception that is no std::exception");
  CHECK(event_of_handler([] { throw 42; }).error == without_code);
  event e = event_of_handler([] { throw std::system_error(std::error_code()); });
  CHECK(e.error == without_code);
  CHECK(e.text.starts_with("a std::system_error whose code is 0"));
  e = event_of_handler([] { throw std::bad_alloc(); });
  CHECK(e.error == std::errc::not_enough_memory);
  e = event_of_handler([] { throw std::runtime_error(std::string(1 << 20, 'x')); });
  CHECK(e.text == std::string(512, 'x'));
  e = event_of_handler([] { throw std::runtime_error("two\nlines"); });
  CHECK(e.text == R"(two\nlines)");
  CHECK(describe(e) == "a: delivery_failed inbound 1..1: two\\nlines");
}

TEST_CASE("the text that a backend threw is in the event, and the send gets no I/O error") {
  using operation = ilm::testing::store_faults::operation;
  world w;
  peer a = w.make("a");
  operation failing = operation::commit;
  auto fail = [&](operation o, bool after) {
    if (o == failing && !after) throw std::runtime_error("table is locked");
  };
  SECTION("in a commit") { a.start(); }
  SECTION("in open") {
    failing = operation::open;
    a.store_faults().watch = fail;
    a.start();
  }
  a.watch();
  w.run_for(0s);
  a.store_faults().watch = fail;
  sends refused = store_all(w, a, "b", {"0", "1"});
  for (const auto& s : refused) {
    CHECK(s->error == without_code);
    CHECK(s->error != std::errc::io_error);
  }
  w.run_for(5s);
  REQUIRE(a.count(event_kind::store_failed) == 1);
  const event* e = a.find(event_kind::store_failed);
  CHECK(e->error == without_code);
  CHECK(e->text == "table is locked");
  CHECK(describe(*e) == "store_failed: table is locked");
  a.store_faults().watch = {};
  w.run_for(5s);
  CHECK(all_stored(store_all(w, a, "b", {"2"})));
  CHECK(a.count(event_kind::store_recovered) == 1);
}

TEST_CASE("the text that a backend threw while it read is in the event, once") {
  using operation = ilm::testing::store_faults::operation;
  world w;
  peer a = w.make("a"), b = w.make("b");
  a.start();
  REQUIRE(all_stored(store_all(w, a, "b", numbered(3))));
  crash(w, a);
  a.store_faults().watch = [](operation o, bool after) {
    if (o == operation::read && !after) throw std::runtime_error("table is locked");
  };
  a.start();
  a.watch();
  b.start();
  w.run_for(5s);
  REQUIRE(a.count(event_kind::store_failed) == 1);
  const event* e = a.find(event_kind::store_failed);
  CHECK(e->peer == "b");
  CHECK(e->error == without_code);
  CHECK(e->text == "table is locked");
  CHECK(e->outbound.empty());
  a.store_faults().watch = {};
  REQUIRE(w.until([&] { return b.app().consumed.size() == 3; }));
}

// A network of a user's own.

namespace {

using network_event = ilm::network_event<std::string>;

/// The events that a network gives, followed by `receive_failure`, and how its sends fail.
struct failing_script {
  std::deque<network_event> events;
  std::exception_ptr receive_failure;
  std::exception_ptr send_failure;
  std::chrono::nanoseconds pause{};  ///< before each event
  std::size_t sent = 0;
};

template <bool Reliable>
class failing_network {
 public:
  using clock_type = test::clock;
  static constexpr bool reliable = Reliable;

  explicit failing_network(std::shared_ptr<failing_script> s) : script_(std::move(s)) {}

  std::string local_id() const { return "a"; }
  std::size_t maximum_frame_size() const { return 1 << 16; }
  asio::awaitable<void> send(std::string, std::vector<std::byte>) {
    ++script_->sent;
    if (script_->send_failure) std::rethrow_exception(script_->send_failure);
    co_return;
  }
  asio::awaitable<network_event> receive() {
    std::shared_ptr<failing_script> s = script_;
    if (!s->events.empty() || s->receive_failure) {
      co_await sleep_for(s->pause);
    }
    if (!s->events.empty()) {
      network_event next = std::move(s->events.front());
      s->events.pop_front();
      co_return next;
    }
    if (s->receive_failure) std::rethrow_exception(s->receive_failure);
    asio::steady_timer forever(co_await asio::this_coro::executor,
                               asio::steady_timer::time_point::max());
    co_await forever.async_wait(asio::use_awaitable);
    co_return network_event();
  }

 private:
  std::shared_ptr<failing_script> script_;
};

template <bool Reliable>
using failing_messenger = ilm::messenger<store, failing_network<Reliable>, ignore>;

/// The events of a messenger "a" on such a network, after a while.
template <bool Reliable>
std::vector<event> events_of_network(const std::shared_ptr<failing_script>& s) {
  world w;
  std::vector<event> events;
  {
    failing_messenger<Reliable> a(w.context, store(), failing_network<Reliable>(s), ignore());
    read_events(a, events);
    w.run_for(10min);
  }
  w.run_for(0s);
  return events;
}

std::exception_ptr thrown(const char* text) {
  return std::make_exception_ptr(std::runtime_error(text));
}

}  // namespace

TEST_CASE("the text that a network threw while it received is in the event of its end") {
  auto s = std::make_shared<failing_script>();
  s->receive_failure = thrown("the cable is cut");
  std::vector<event> events = events_of_network<true>(s);
  const event* e = find(events, event_kind::network_ended);
  REQUIRE(e != nullptr);
  CHECK(e->error == without_code);
  CHECK(e->text == "the cable is cut");
}

TEST_CASE("the text that a network threw while it sent is in an event, once a session") {
  auto s = std::make_shared<failing_script>();
  s->send_failure = thrown("the cable is cut");
  s->events = {network_event::up("b"), network_event::up("b")};
  s->pause = 4min;
  std::vector<event> events;
  SECTION("which such a failure ends on a reliable network") {
    events = events_of_network<true>(s);
    CHECK(s->sent == 2);
  }
  SECTION("which goes on over an unreliable network") {
    events = events_of_network<false>(s);
    CHECK(s->sent > 2);
  }
  std::size_t problems = 0;
  for (const event& e : events) {
    if (e.kind != event_kind::network_problem) continue;
    ++problems;
    CHECK(e.peer == "b");
    CHECK(e.error == without_code);
    CHECK(e.text == "the cable is cut");
  }
  CHECK(problems == 2);
}

TEST_CASE("the text that a network gives with a problem is in the event, bounded") {
  auto s = std::make_shared<failing_script>();
  s->events = {network_event::problem("b", ilm::error::network_ended, "port 7 is taken"),
               network_event::problem("c", ilm::error::network_ended, std::string(5000, 'x'))};
  std::vector<event> events = events_of_network<true>(s);
  REQUIRE(events.size() == 2);
  CHECK(events[0].error == ilm::error::network_ended);
  CHECK(events[0].text == "port 7 is taken");
  CHECK(events[1].text == std::string(512, 'x'));
}

// A codec of a user's own.

namespace {

/// A peer id whose codec refuses some.
struct tenant {
  int number = 0;
  friend auto operator<=>(const tenant&, const tenant&) = default;
};

}  // namespace

template <>
struct ilm::codec<tenant> {
  static void encode(const tenant& value, std::vector<std::byte>& out) {
    if (value.number < 0) throw std::runtime_error("no such tenant");
    out.push_back(static_cast<std::byte>(value.number));
  }
  static tenant decode(std::span<const std::byte> in) { return {std::to_integer<int>(in.front())}; }
};

namespace {

using tenant_event = ilm::event<tenant>;

class tenant_network {
 public:
  using clock_type = test::clock;
  using event = ilm::network_event<tenant>;
  static constexpr bool reliable = true;

  explicit tenant_network(std::deque<event> events)
      : events_(std::make_shared<std::deque<event>>(std::move(events))) {}

  tenant local_id() const { return {1}; }
  std::size_t maximum_frame_size() const { return 1 << 16; }
  asio::awaitable<void> send(tenant, std::vector<std::byte>) { co_return; }
  asio::awaitable<event> receive() {
    std::shared_ptr<std::deque<event>> events = events_;
    if (!events->empty()) {
      event next = std::move(events->front());
      events->pop_front();
      co_return next;
    }
    asio::steady_timer forever(co_await asio::this_coro::executor,
                               asio::steady_timer::time_point::max());
    co_await forever.async_wait(asio::use_awaitable);
    co_return event();
  }

 private:
  std::shared_ptr<std::deque<event>> events_;
};

/// A store that says to have a peer whose id the codec refuses.
class tenant_store {
 public:
  static constexpr ilm::durability durable_to = ilm::durability::process;

  asio::awaitable<ilm::store_state<tenant>> open() {
    ilm::store_state<tenant> found = co_await inner_.open();
    found.local = ilm::incarnation{1, 1};
    found.peers.emplace_back(tenant{-1}, ilm::cursors());
    co_return found;
  }
  asio::awaitable<void> commit(const ilm::batch<tenant>& b) { return inner_.commit(b); }
  asio::awaitable<std::vector<ilm::stored_message>> read(ilm::queue which, const tenant& peer,
                                                         std::uint64_t from,
                                                         ilm::page_limit limit) {
    return inner_.read(which, peer, from, limit);
  }
  asio::awaitable<void> close() { return inner_.close(); }

 private:
  ilm::memory_backend<tenant> inner_;
};

struct ignore_tenant {
  void operator()(const ilm::message<tenant>&) const {}
};

}  // namespace

TEST_CASE("the text that a codec of peer ids threw is in the event, and its caller gets the code") {
  world w;
  std::deque<tenant_network::event> reported{tenant_network::event::up(tenant{-2})};
  ilm::messenger a(w.context, tenant_store(), tenant_network(std::move(reported)), ignore_tenant());
  std::vector<tenant_event> events;
  read_events(a, events);
  std::optional<std::error_code> sent, connected;
  a.send_to(tenant{-3}, "text", [&](std::error_code e, std::uint64_t) { sent = e; });
  a.connected(tenant{-4}, [&](std::error_code e) { connected = e; });
  w.run_for(1s);
  for (event_kind kind : {event_kind::store_failed, event_kind::frame_rejected}) {
    const tenant_event* e = find(events, kind);
    REQUIRE(e != nullptr);
    CHECK_FALSE(e->peer);
    CHECK(e->error == without_code);
    CHECK(e->text == "no such tenant");
  }
  REQUIRE(sent);
  CHECK(*sent == without_code);
  REQUIRE(connected);
  CHECK(*connected == without_code);
}
