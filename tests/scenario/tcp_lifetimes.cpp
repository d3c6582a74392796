#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/strand.hpp>

#include <atomic>
#include <mutex>
#include <thread>

using namespace test::tcp;

// A network can be destroyed at any moment, and so can its context.

TEST_CASE("a network over TCP that was never used can be destroyed", "[tcp]") {
  loop l;
  {
    network idle(l.context, "a");
    idle.listen("127.0.0.1:0");
    idle.add_peer("b", "127.0.0.1:1");
  }
  network moved(l.context, "b");
  network target(std::move(moved));
  target = network(l.context, "c");
  CHECK(target.local_id() == "c");
}

TEST_CASE("a receive that waits ends with its network", "[tcp]") {
  loop l;
  std::optional<network> net;
  net.emplace(l.context, "a");
  bool listens = GENERATE(false, true);
  if (listens) net->listen("127.0.0.1:0");
  std::error_code why;
  asio::co_spawn(l.context, net->receive(), [&](const std::exception_ptr& e, const event&) {
    try {
      if (e) std::rethrow_exception(e);
    } catch (const std::system_error& ended) {
      why = ended.code();
    }
  });
  l.run_for(10ms);
  REQUIRE_FALSE(why);
  bool replaced = GENERATE(false, true);
  if (replaced) {
    *net = network(l.context, "b");
  } else {
    net.reset();
  }
  CHECK(l.until([&] { return why == ilm::error::network_ended; }));
}

TEST_CASE("networks over TCP are destroyed after any number of steps", "[tcp]") {
  for (int steps = 0; steps < 120; ++steps) {
    loop l;
    node a(l, "a");
    {
      node b(l, "b");
      a.dial(b);
      b.dial(a);
      a.send("b", std::string(100'000, 'x'));
      for (int i = 0; i < steps; ++i) {
        l.context.restart();
        l.context.run_one_for(1ms);
        if (i % 10 == 0) b.send("a", "y");
      }
      steps % 2 == 0 ? b.leave() : a.leave();
      l.context.restart();
      l.context.poll();
    }
    l.run_for(1ms);
    CHECK(a.orderly());
  }
}

TEST_CASE("a context is destroyed with everything in flight over TCP", "[tcp]") {
  for (int steps = 0; steps < 120; ++steps) {
    auto l = std::make_unique<loop>();
    std::vector<std::shared_ptr<network>> nets;
    std::vector<ilm::tcp_control<>> controls;
    for (const char* name : {"a", "b", "c"}) {
      auto net = std::make_shared<network>(l->context, name, quick());
      net->listen("127.0.0.1:0");
      controls.push_back(net->control());
      nets.push_back(net);
    }
    for (auto& net : nets) {
      net->add_peer("nobody", "127.0.0.1:1");
      for (auto& other : nets) {
        if (other != net) {
          net->add_peer(other->local_id(), "127.0.0.1:" + std::to_string(other->port()));
        }
      }
    }
    plain_socket stranger(*l, "127.0.0.1:" + std::to_string(nets[0]->port()));
    // As a messenger does, the coroutines own the network.
    auto receive = [](std::shared_ptr<network> net) -> asio::awaitable<void> {
      for (;;) {
        event e = co_await net->receive();
        if (e.kind != event::type::up) continue;
        bytes_vector frame(1'000'000);
        for (int i = 0; i < 10; ++i) co_await net->send(e.peer, frame);
      }
    };
    for (auto& net : nets) asio::co_spawn(l->context, receive(net), asio::detached);
    nets.clear();
    for (int i = 0; i < steps; ++i) l->context.run_one_for(1ms);
    stranger.close();
    stranger = plain_socket(*l, "127.0.0.1:" + std::to_string(controls[0].port()));
    stranger.close();
    // Not to outlive its context either.
    { plain_socket gone = std::move(stranger); }
    l.reset();
    for (auto& control : controls) {
      control.reconnect("nobody");
      control.add_peer("x", "127.0.0.1:1");
    }
  }
}

TEST_CASE("a network over TCP is controlled from other threads while several run its context",
          "[tcp]") {
  asio::io_context context;
  auto work = asio::make_work_guard(context);
  struct side {
    side(asio::io_context& c, const char* name)
        : strand(asio::make_strand(c)), net(std::in_place, c, name, quick()) {
      net->listen("127.0.0.1:0");
    }
    asio::strand<asio::io_context::executor_type> strand;
    std::optional<network> net;
    std::atomic<std::size_t> frames = 0;
  };
  auto receive = [](std::shared_ptr<side> s) -> asio::awaitable<void> {
    while (s->net) {
      event e = co_await s->net->receive();
      if (e.kind == event::type::up) {
        bytes_vector frame(100);
        co_await s->net->send(e.peer, std::move(frame));
      }
      if (e.kind == event::type::frame) ++s->frames;
    }
  };
  auto a = std::make_shared<side>(context, "a"), b = std::make_shared<side>(context, "b");
  ilm::tcp_control<> control_a = a->net->control(), control_b = b->net->control();
  std::string to_a = "127.0.0.1:" + std::to_string(control_a.port());
  std::string to_b = "127.0.0.1:" + std::to_string(control_b.port());
  asio::co_spawn(a->strand, receive(a), asio::detached);
  asio::co_spawn(b->strand, receive(b), asio::detached);
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) threads.emplace_back([&] { context.run(); });
  std::thread other([&] {
    for (int i = 0; i < 200; ++i) {
      control_a.add_peer("b", to_b);
      control_b.reconnect("a");
      if (i % 4 == 0) control_a.remove_peer("b");
      static_cast<void>(control_a.port());
    }
  });
  for (int i = 0; i < 200; ++i) {
    control_b.add_peer("a", to_a);
    control_a.reconnect("b");
    if (i % 4 == 2) control_b.remove_peer("a");
  }
  other.join();
  control_a.add_peer("b", to_b);
  control_b.add_peer("a", to_a);
  auto end = std::chrono::steady_clock::now() + 40s;
  while ((a->frames == 0 || b->frames == 0) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(1ms);
  }
  CHECK(a->frames > 0);
  CHECK(b->frames > 0);
  // The network goes on its strand while others still reach for it.
  std::thread late([&] {
    for (int i = 0; i < 200; ++i) {
      control_a.reconnect("b");
      control_a.add_peer("c", "127.0.0.1:1");
    }
  });
  for (auto& s : {a, b}) asio::post(s->strand, [s] { s->net.reset(); });
  late.join();
  work.reset();
  for (std::thread& t : threads) t.join();
}
