#include "support/catch.hpp"
#include "support/messenger.hpp"
#include "support/sleep.hpp"

#include <asio/steady_timer.hpp>

#include <cstddef>
#include <deque>
#include <functional>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

using namespace test;

// A network of a user's own may report anything.

namespace {

using network_event = ilm::network_event<std::string>;

/// What a network reports: the events, then `repeated` as often as it says, then nothing more. And
/// how its sends end.
struct script {
  std::deque<network_event> events;
  std::chrono::nanoseconds pause{};  ///< before each of the events
  std::size_t sent = 0;
  std::size_t failing_sends = 0;         ///< how many, the first ones
  std::chrono::nanoseconds send_time{};  ///< of each
  std::optional<network_event> repeated;
  std::size_t repetitions = 0;
  std::size_t received = 0;
};

template <bool Reliable>
class scripted_network {
 public:
  using clock_type = test::clock;
  static constexpr bool reliable = Reliable;

  explicit scripted_network(std::shared_ptr<script> s) : script_(std::move(s)) {}

  std::string local_id() const { return "a"; }
  std::size_t maximum_frame_size() const { return 1 << 16; }
  asio::awaitable<void> send(std::string, std::vector<std::byte>) {
    std::shared_ptr<script> s = script_;
    bool fails = ++s->sent <= s->failing_sends;
    co_await sleep_for(s->send_time);
    if (fails) throw std::runtime_error("not sent");
  }
  asio::awaitable<network_event> receive() {
    std::shared_ptr<script> s = script_;
    ++s->received;
    if (!s->events.empty()) {
      co_await sleep_for(s->pause);
      network_event next = std::move(s->events.front());
      s->events.pop_front();
      co_return next;
    }
    if (s->repetitions > 0) {
      --s->repetitions;
      co_return *s->repeated;
    }
    asio::steady_timer forever(co_await asio::this_coro::executor,
                               asio::steady_timer::time_point::max());
    co_await forever.async_wait(asio::use_awaitable);
    co_return network_event();
  }

 private:
  std::shared_ptr<script> script_;
};

template <bool Reliable>
using scripted_messenger = ilm::messenger<store, scripted_network<Reliable>, ignore>;

std::vector<event> events_of(asio::io_context& context, scripted_messenger<true>& m) {
  std::vector<event> all;
  std::function<void()> read = [&] {
    m.next_event([&](std::error_code failed, event e) {
      if (failed) return;
      all.push_back(std::move(e));
      read();
    });
  };
  read();
  context.poll();
  return all;
}

}  // namespace

TEST_CASE("a network that reports without end leaves others their turn") {
  auto s = std::make_shared<script>();
  SECTION("that an unknown peer has gone") { s->repeated = network_event::down("nobody"); }
  SECTION("frames of an unusable peer") { s->repeated = network_event::frame("", {}); }
  SECTION("frames of this side") { s->repeated = network_event::frame("a", {}); }
  SECTION("problems") {
    s->repeated = network_event::problem(std::nullopt, ilm::error::network_ended);
  }
  s->repetitions = 100'000;
  asio::io_context context;
  scripted_messenger<true> a(context, store(), scripted_network<true>(s), ignore());
  for (int turns = 0; turns < 100; ++turns) context.poll_one();
  CHECK(s->received > 0);
  CHECK(s->received <= 100 * 8);
}

TEST_CASE("a network whose events name no peer or the messenger itself does no harm") {
  auto s = std::make_shared<script>();
  std::vector<std::byte> bytes(100);
  std::string too_long(256, 'x');
  s->events = {network_event(),
               network_event::up(""),
               network_event::down(""),
               network_event::frame(too_long, bytes),
               network_event::up("a"),
               network_event::frame("a", bytes),
               network_event::down("a"),
               network_event::problem(std::nullopt, std::error_code()),
               network_event::problem("", ilm::error::network_ended),
               network_event::frame("b", std::vector<std::byte>((1 << 16) + 1)),
               network_event::frame("b", {})};
  asio::io_context context;
  scripted_messenger<true> a(context, store(), scripted_network<true>(s), ignore());
  std::vector<event> events = events_of(context, a);
  std::vector<std::error_code> rejected;
  std::size_t problems = 0;
  for (const event& e : events) {
    if (e.kind == ilm::event_kind::frame_rejected) rejected.push_back(e.error);
    if (e.kind == ilm::event_kind::network_problem) ++problems;
  }
  CHECK(rejected == std::vector<std::error_code>{ilm::error::invalid_peer_id,
                                                 ilm::error::frame_too_large,
                                                 ilm::error::malformed_frame});
  CHECK(problems == 2);
  CHECK(a.statistics().peers.empty());
}

TEST_CASE("a send that fails ends the session of a reliable network, until the next one") {
  world w;
  auto s = std::make_shared<script>();
  s->events = {network_event::up("b"), network_event::up("b")};
  s->pause = 1min;
  s->failing_sends = 1;
  scripted_messenger<true> a(w.context, store(), scripted_network<true>(s), ignore());
  w.run_for(90s);
  CHECK(s->sent == 1);
  w.run_for(1min);
  CHECK(s->sent > 1);
}

TEST_CASE("a frame of a former session that fails does not end the one that lasts") {
  world w;
  auto s = std::make_shared<script>();
  SECTION("which the network announced by the end of the former one") {
    s->events = {network_event::up("b"), network_event::down("b"), network_event::up("b")};
  }
  SECTION("which the network announced alone") {
    s->events = {network_event::up("b"), network_event::up("b")};
  }
  s->pause = 1s;
  s->send_time = 5s;
  s->failing_sends = 1;
  scripted_messenger<true> a(w.context, store(), scripted_network<true>(s), ignore());
  w.run_for(1min);
  CHECK(s->sent > 2);
}

TEST_CASE("a send that fails is the loss of a frame on an unreliable network") {
  world w;
  auto s = std::make_shared<script>();
  s->events = {network_event::up("b")};
  s->failing_sends = 1;
  scripted_messenger<false> a(w.context, store(), scripted_network<false>(s), ignore());
  w.run_for(1min);
  CHECK(s->sent > 2);
}

TEST_CASE("forgetting cancels a send that hangs, and does not report it as failed") {
  world w;
  auto s = std::make_shared<script>();
  s->events = {network_event::up("b")};
  s->send_time = 1h;
  scripted_messenger<true> a(w.context, store(), scripted_network<true>(s), ignore());
  std::size_t problems = 0;
  std::function<void()> read = [&] {
    a.next_event([&](std::error_code failed, const event& e) {
      if (failed) return;
      if (e.kind == ilm::event_kind::network_problem) ++problems;
      read();
    });
  };
  read();
  w.run_for(1s);
  REQUIRE(s->sent == 1);
  std::optional<std::error_code> forgotten;
  a.forget("b", [&](std::error_code e, const ilm::forget_report&) { forgotten = e; });
  w.run_for(1s);
  CHECK(forgotten == std::error_code());
  CHECK(problems == 0);
}

namespace {

/// A network among numbers, which reports one problem.
class troubled_network {
 public:
  using clock_type = test::clock;
  static constexpr bool reliable = true;

  explicit troubled_network(ilm::network_event<int> problem) : problem_(std::move(problem)) {}

  int local_id() const { return 1; }
  std::size_t maximum_frame_size() const { return 1 << 16; }
  asio::awaitable<void> send(int, std::vector<std::byte>) { co_return; }
  asio::awaitable<ilm::network_event<int>> receive() {
    if (!std::exchange(told_, true)) co_return problem_;
    co_await sleep_for(1h);
    co_return problem_;
  }

 private:
  ilm::network_event<int> problem_;
  bool told_ = false;
};

std::optional<ilm::event<int>> first_event(world& w, std::optional<int> of) {
  using problem = ilm::network_event<int>;
  troubled_network net(problem::problem(of, ilm::error::network_ended));
  ilm::messenger a(w.context, ilm::memory_backend<int>(), std::move(net), [](ilm::message<int>) {});
  std::optional<ilm::event<int>> first;
  a.next_event([&](std::error_code failed, ilm::event<int> e) {
    if (!failed) first = std::move(e);
  });
  w.run_for(1s);
  return first;
}

}  // namespace

TEST_CASE("a problem of the network names a peer only if the network does") {
  world w;
  auto with = first_event(w, 0), without = first_event(w, std::nullopt);
  REQUIRE((with && without));
  CHECK(with->kind == ilm::event_kind::network_problem);
  CHECK(with->peer == 0);
  CHECK(without->kind == ilm::event_kind::network_problem);
  CHECK_FALSE(without->peer);
}
