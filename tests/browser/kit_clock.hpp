#pragma once

// The time of a kit in a browser. A kit waits for the user's coroutines in one function call, and
// JavaScript's events come only while nothing runs: the call is suspended (JSPI) while the browser
// has its turn.

#include <ilm/browser/page_loop.hpp>

#include <asio/io_context.hpp>

#include <chrono>
#include <emscripten.h>

// clang-format off
EM_ASYNC_JS(void, ilm_test_browsers_turn, (), {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(0);
  });
  port1.close();
});
// clang-format on

namespace test {

struct kit_clock : std::chrono::steady_clock {
  template <class Done>
  static bool run_until(asio::io_context& context, Done done, std::chrono::nanoseconds limit) {
    auto end = now() + limit;
    for (;;) {
      ilm::page_loop::of(context).run();
      if (done()) return true;
      if (now() >= end) return false;
      ilm_test_browsers_turn();
    }
  }
};

}  // namespace test
