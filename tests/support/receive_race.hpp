#pragma once

// A network by itself, whose `receive` competes with a timer.

#include "support/catch.hpp"

#include <ilm/detail/asio.hpp>
#include <ilm/network.hpp>

#include <asio/experimental/awaitable_operators.hpp>
#include <asio/io_context.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace test {

using namespace std::chrono_literals;

using incoming = ilm::network_event<std::string>;
inline const std::string receiver = "b";

/// Receives from `n` until it gets a frame, or until the gate opens; none then.
template <class Network>
asio::awaitable<void> receive_or_leave(Network& n, asio::steady_timer& gate,
                                       std::optional<incoming>& got, bool& ended) {
  using namespace asio::experimental::awaitable_operators;
  for (;;) {
    std::error_code opened;
    auto first = co_await (n.receive() ||
                           gate.async_wait(asio::redirect_error(asio::use_awaitable, opened)));
    if (first.index() == 1) break;
    if (std::get<0>(first).kind != ilm::network_event_type::frame) continue;
    got = std::get<0>(std::move(first));
    break;
  }
  ended = true;
}

template <class Network>
asio::awaitable<void> receive_frame(Network& n, std::optional<incoming>& got) {
  do {
    got = co_await n.receive();
  } while (got->kind != ilm::network_event_type::frame);
}

/// Sends a frame from `a` to `b`, lets so many handlers run, and opens the gate: the frame comes
/// all the same, sooner or later.
template <class Network>
void race(asio::io_context& c, Network& a, Network& b, std::size_t handlers) {
  INFO("handlers " << handlers);
  auto run_until = [&](const std::function<bool()>& done) {
    auto end = std::chrono::steady_clock::now() + 10s;
    while (!done() && std::chrono::steady_clock::now() < end) c.run_one_for(10ms);
    return done();
  };
  asio::steady_timer gate(c, asio::steady_timer::time_point::max());
  std::optional<incoming> got;
  bool ended = false;
  asio::co_spawn(c, receive_or_leave(b, gate, got, ended), asio::detached);
  c.poll();
  asio::co_spawn(c, a.send(receiver, std::vector<std::byte>(10)), asio::detached);
  for (std::size_t i = 0; i < handlers && !ended; ++i) c.run_one_for(10ms);
  gate.expires_at(asio::steady_timer::time_point::min());
  REQUIRE(run_until([&] { return ended; }));
  if (got) return;
  asio::co_spawn(c, receive_frame(b, got), asio::detached);
  REQUIRE(run_until([&] { return got.has_value(); }));
  CHECK(got->bytes.size() == 10);
}

}  // namespace test
