// A worker that runs a context by the page's loop, for page_loop_test.mjs.

#include <ilm/browser/page_loop.hpp>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <emscripten.h>
#include <optional>
#include <stdexcept>

namespace {

std::optional<asio::io_context> context(std::in_place);
int done = 0;
bool asked_to_end = false;

ilm::page_loop& loop() { return ilm::page_loop::of(*context); }

asio::awaitable<void> tick(int times, std::chrono::milliseconds pause) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  for (int i = 0; i < times; ++i) {
    timer.expires_after(pause);
    co_await timer.async_wait(asio::use_awaitable);
    ++done;
  }
}

void post_for_ever() {
  ++done;
  if (!asked_to_end) asio::post(*context, post_for_ever);
}

}  // namespace

extern "C" {

EMSCRIPTEN_KEEPALIVE int done_so_far() { return done; }
EMSCRIPTEN_KEEPALIVE double turns() { return static_cast<double>(loop().turns()); }
EMSCRIPTEN_KEEPALIVE void run() { loop().run(); }

EMSCRIPTEN_KEEPALIVE void start_ticking(int times, int milliseconds) {
  asio::co_spawn(*context, tick(times, std::chrono::milliseconds(milliseconds)), asio::detached);
  loop().run();
}

/// Timers that are `apart` milliseconds from one another.
EMSCRIPTEN_KEEPALIVE void start_timers(int count, int milliseconds, int apart) {
  for (int i = 0; i < count; ++i) {
    asio::co_spawn(*context, tick(1, std::chrono::milliseconds(milliseconds + i * apart)),
                   asio::detached);
  }
  loop().run();
}

/// A handler that wants the context run, as a callback of JavaScript's would, and posts another.
EMSCRIPTEN_KEEPALIVE void post_from_a_handler() {
  asio::post(*context, [] {
    asio::post(*context, [] { ++done; });
    loop().run();
    if (done != 0) done = -1;
  });
  loop().run();
}

/// The other context has work, and its callback comes while this one runs.
EMSCRIPTEN_KEEPALIVE void run_another_from_a_handler() {
  static asio::io_context other;
  asio::post(other, [] { ++done; });
  asio::post(*context, [] { ilm::page_loop::of(other).run(); });
  loop().run();
}

EMSCRIPTEN_KEEPALIVE void start_posting_for_ever() {
  asio::post(*context, post_for_ever);
  loop().run();
}
EMSCRIPTEN_KEEPALIVE void end_posting() { asked_to_end = true; }

EMSCRIPTEN_KEEPALIVE void throw_in_a_handler() {
  asio::post(*context, [] {
    asio::post(*context, [] { ++done; });
    throw std::runtime_error("thrown by a handler");
  });
  loop().run();
}

EMSCRIPTEN_KEEPALIVE void stop_in_a_handler() {
  asio::post(*context, [] {
    asio::post(*context, [] { ++done; });
    context->stop();
  });
  loop().run();
}
EMSCRIPTEN_KEEPALIVE void restart() {
  context->restart();
  loop().run();
}

EMSCRIPTEN_KEEPALIVE void destroy_context() { context.reset(); }
}

int main() {}
