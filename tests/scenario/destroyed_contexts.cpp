#include "support/catch.hpp"
#include "support/messenger.hpp"

#include <ilm/detail/context_end.hpp>

using namespace test;

// A context that ends before the messengers that run on it: main() does that when something throws.

namespace {

using token = std::shared_ptr<int>;

asio::awaitable<void> read_events(messenger& m, token) {
  for (;;) co_await m.next_event();
}
asio::awaitable<void> send_for_ever(messenger& m, token) {
  for (;;) co_await m.send_to("b", "x");
}
asio::awaitable<void> wait_for_receipt(messenger& m, token) {
  std::uint64_t sequence = co_await m.send_to("b", "x");
  co_await m.wait_delivered("b", sequence);
}
asio::awaitable<void> ask(messenger& m, token) {
  for (;;) co_await m.undelivered("b");
}
asio::awaitable<void> forget_for_ever(messenger& m, token) {
  for (;;) {
    co_await m.send_to("c", "x");
    co_await m.forget("c");
  }
}
/// A messenger that nobody destroys but the frame in which it lives.
asio::awaitable<void> live(asio::io_context& context, ilm::memory_fabric<int>& net, token) {
  ilm::messenger m(context, ilm::memory_backend<int>(), net.join(1), [](ilm::message<int>) {});
  co_await m.send_to(2, 3);
  for (;;) co_await m.next_event();
}

asio::awaitable<void> shut_down(messenger& m, token) { co_await m.shutdown(1h); }

}  // namespace

TEST_CASE(
    "a context that is destroyed with everything under way destroys the coroutines that wait") {
  bool stopping = GENERATE(false, true);
  for (int turns : {0, 1, 2, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 100, 1000}) {
    auto held = std::make_shared<int>();
    std::weak_ptr<int> alive = held;
    fabric net;
    auto faults = std::make_shared<ilm::testing::store_faults>();
    auto context = std::make_unique<asio::io_context>(1);
    auto app = std::make_shared<application>();
    std::weak_ptr<application> app_alive = app;
    {
      messenger m(*context, backend(store(), faults), net.join("a"), handler(std::move(app)));
      for (auto coroutine : {read_events, send_for_ever, wait_for_receipt, ask, forget_for_ever}) {
        asio::co_spawn(*context, coroutine(m, held), asio::detached);
      }
      if (stopping) asio::co_spawn(*context, shut_down(m, held), asio::detached);
      for (int i = 0; i < turns; ++i) context->poll_one();
    }
    context.reset();
    held.reset();
    INFO(turns << " turns" << (stopping ? ", stopping" : ""));
    CHECK(alive.expired());
    CHECK(app_alive.expired());
  }
}

TEST_CASE("a messenger in the frame of a coroutine goes with the context that would run it") {
  for (int turns : {0, 1, 2, 5, 10, 100, 1000}) {
    auto held = std::make_shared<int>();
    std::weak_ptr<int> alive = held;
    ilm::memory_fabric<int> net;
    auto context = std::make_unique<asio::io_context>(1);
    asio::co_spawn(*context, live(*context, net, std::move(held)), asio::detached);
    for (int i = 0; i < turns; ++i) context->poll_one();
    context.reset();
    INFO(turns << " turns");
    CHECK(alive.expired());
  }
}

namespace {

struct listener final : ilm::detail::context_listener {
  void handle_context_end(asio::execution_context& ending) noexcept override { told = &ending; }

  asio::execution_context* told = nullptr;
};

}  // namespace

TEST_CASE("each listener that is left is told of the end of a context") {
  auto first = std::make_shared<listener>(), second = std::make_shared<listener>();
  auto context = std::make_unique<asio::io_context>(1);
  const asio::execution_context* ending = context.get();
  for (const auto& l : {first, std::make_shared<listener>(), second}) {
    ilm::detail::context_end::watch(*context, l);
  }
  context.reset();
  CHECK(first->told == ending);
  CHECK(second->told == ending);
}
