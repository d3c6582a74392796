#include "support/catch.hpp"
#include "support/tcp.hpp"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>

#include <algorithm>

using namespace test::tcp;

// Who is slow makes others wait, and nobody's memory grows.

namespace {

constexpr std::size_t frame_size = 50'000;

struct flow {
  std::size_t sent = 0;
  bool stop = false;
};

/// Sends as long as `send` lets it.
asio::awaitable<void> flood(network& net, std::string to, std::shared_ptr<flow> f) {
  while (!f->stop) {
    bytes_vector frame(frame_size, std::byte{7});
    co_await net.send(to, std::move(frame));
    ++f->sent;
    // As a messenger does: one peer must not keep the strand.
    co_await asio::post(asio::use_awaitable);
  }
}

std::shared_ptr<flow> start_flood(loop& l, node& from, const std::string& to) {
  auto f = std::make_shared<flow>();
  asio::co_spawn(l.context, flood(from.net(), to, f), asio::detached);
  return f;
}

/// Until no more is sent for a while.
bool stalls(loop& l, const flow& f) {
  std::size_t before = 0;
  return l.until([&] {
    before = f.sent;
    l.run_for(100ms);
    return f.sent == before;
  });
}

}  // namespace

TEST_CASE("a messenger that is slow stops its peer's sends, and loses nothing", "[tcp]") {
  loop l;
  options o = quick();
  o.send_buffer = 200'000;
  o.receive_buffer = 200'000;
  node a(l, "a", o), b(l, "b", o), c(l, "c", o);
  a.dial(b);
  c.dial(b);
  REQUIRE(joined(l, a, b));
  REQUIRE(joined(l, b, c));
  b.pause();
  auto f = start_flood(l, a, "b");
  REQUIRE(stalls(l, *f));
  // What the system buffers, a few megabytes, and what both sides may hold.
  CHECK(f->sent * frame_size < 40'000'000);
  // Others are not concerned.
  a.dial(c);
  REQUIRE(joined(l, a, c));
  a.send("c", "x");
  CHECK(l.until([&] { return c.frames("a") == 1; }));
  b.pause(false);
  REQUIRE(l.until([&] { return b.frames("a") > 400; }));
  f->stop = true;
  REQUIRE(l.until([&] { return b.frames("a") == f->sent; }));
  CHECK(std::all_of(b.events().begin(), b.events().end(), [](const event& e) {
    return e.kind != event::type::frame || e.bytes.size() == frame_size;
  }));
}

TEST_CASE("a send that waits for a slow peer ends with the session", "[tcp]") {
  loop l;
  node a(l, "a");
  std::optional<node> b;
  b.emplace(l, "b");
  b->dial(a);
  REQUIRE(joined(l, a, *b));
  b->pause();
  auto f = start_flood(l, a, "b");
  REQUIRE(stalls(l, *f));
  std::size_t before = f->sent;
  f->stop = true;
  b->leave();
  CHECK(l.until([&] { return f->sent > before; }));
  CHECK(l.until([&] { return !a.up("b"); }));
}

TEST_CASE("a send that waits for a slow peer can be cancelled", "[tcp]") {
  loop l;
  node a(l, "a"), b(l, "b");
  b.dial(a);
  REQUIRE(joined(l, a, b));
  b.pause();
  asio::cancellation_signal stop;
  auto f = std::make_shared<flow>();
  std::exception_ptr failed;
  bool ended = false;
  asio::co_spawn(l.context, flood(a.net(), "b", f),
                 asio::bind_cancellation_slot(stop.slot(), [&](std::exception_ptr e) {
                   failed = e;
                   ended = true;
                 }));
  REQUIRE(stalls(l, *f));
  stop.emit(asio::cancellation_type::terminal);
  CHECK(l.until([&] { return ended; }));
  CHECK(failed);
}

TEST_CASE("a receive that waits can be cancelled, and loses no event", "[tcp]") {
  loop l;
  network a(l.context, "a", quick());
  a.listen("127.0.0.1:0");
  asio::cancellation_signal stop;
  std::optional<bool> failed;
  asio::co_spawn(l.context, a.receive(),
                 asio::bind_cancellation_slot(stop.slot(),
                                              [&](std::exception_ptr e, event) { failed = !!e; }));
  l.run_for(10ms);
  stop.emit(asio::cancellation_type::terminal);
  REQUIRE(l.until([&] { return failed.has_value(); }));
  CHECK(*failed);
  node b(l, "b");
  b.control().add_peer("a", "127.0.0.1:" + std::to_string(a.port()));
  REQUIRE(l.until([&] { return b.up("a"); }));
  std::optional<event> next;
  asio::co_spawn(l.context, a.receive(), [&](std::exception_ptr, event e) { next = std::move(e); });
  REQUIRE(l.until([&] { return next.has_value(); }));
  CHECK(next->kind == event::type::up);
}

TEST_CASE("peers take turns: one that floods does not keep another waiting", "[tcp]") {
  loop l;
  options o = quick();
  o.receive_buffer = 1 << 20;
  node a(l, "a", o), loud(l, "loud", o), calm(l, "calm", o);
  loud.dial(a);
  calm.dial(a);
  REQUIRE(joined(l, a, loud));
  REQUIRE(joined(l, a, calm));
  a.pause();
  auto f = start_flood(l, loud, "a");
  REQUIRE(stalls(l, *f));
  for (int i = 0; i < 10; ++i) calm.send("a", std::to_string(i));
  l.run_for(50ms);
  a.pause(false);
  REQUIRE(l.until([&] { return a.frames("calm") == 10; }));
  f->stop = true;
  // The flood held twenty frames and more; ten of each were received in turn.
  std::size_t of_loud = 0, of_calm = 0;
  for (const event& e : a.events()) {
    if (e.kind != event::type::frame) continue;
    (e.peer == "calm" ? of_calm : of_loud) += 1;
    if (of_calm == 10) break;
  }
  CHECK(of_calm == 10);
  CHECK(of_loud <= 13);
}
