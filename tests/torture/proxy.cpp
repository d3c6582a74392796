#include "proxy.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <utility>

namespace torture {

using asio::ip::tcp;
using clock_type = std::chrono::steady_clock;

std::string_view name_of(cut kind) noexcept {
  constexpr std::array<std::string_view, cut_kinds> names{"reset", "early reset", "half-close",
                                                          "stall", "silence",     "trickle"};
  return names[static_cast<std::size_t>(kind)];
}

struct proxied_connection {
  explicit proxied_connection(asio::io_context& context)
      : client(context), server(context), pause(context), back_pause(context) {}

  tcp::socket client;
  tcp::socket server;
  asio::steady_timer pause, back_pause;  ///< one for each direction

  clock_type::time_point held_until{};
  std::size_t trickling = 0;  ///< how many bytes are yet to go slowly
  std::size_t lifetime = std::numeric_limits<std::size_t>::max();  ///< bytes before a reset

  /// SO_LINGER 0: the other side gets a reset, and loses unread bytes.
  void reset() {
    for (tcp::socket* s : {&client, &server}) {
      std::error_code ignored;
      s->set_option(asio::socket_base::linger(true, 0), ignored);
      s->close(ignored);
    }
  }

  bool held() const { return clock_type::now() < held_until; }

  asio::awaitable<void> wait_while_held(tcp::socket& from, asio::steady_timer& timer) {
    while (held() && from.is_open()) {
      timer.expires_after(std::chrono::milliseconds(5));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  /// Until `from` ends. An error of either is the end of both.
  asio::awaitable<void> pump(tcp::socket& from, tcp::socket& to, asio::steady_timer& timer) {
    std::array<char, 16'384> buffer;
    std::error_code failed;
    while (!failed && from.is_open()) {
      co_await wait_while_held(from, timer);
      std::size_t most =
          std::min(trickling > 0 ? 7 : buffer.size(), std::max<std::size_t>(lifetime, 1));
      std::size_t size = co_await from.async_read_some(
          asio::buffer(buffer.data(), most), asio::redirect_error(asio::use_awaitable, failed));
      if (failed) break;
      co_await wait_while_held(from, timer);
      if (size >= lifetime) co_return reset();
      lifetime -= size;
      co_await asio::async_write(to, asio::buffer(buffer.data(), size),
                                 asio::redirect_error(asio::use_awaitable, failed));
      if (trickling > 0) {
        trickling -= std::min(trickling, size);
        timer.expires_after(std::chrono::microseconds(200));
        co_await timer.async_wait(asio::use_awaitable);
      }
    }
    if (failed != asio::error::eof) co_return reset();
    std::error_code ignored;
    to.shutdown(tcp::socket::shutdown_send, ignored);
  }
};

proxy::proxy(asio::io_context& context, std::uint64_t seed)
    : context_(context),
      random_(seed),
      acceptor_(context, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
      port_(acceptor_.local_endpoint().port()) {
  asio::co_spawn(context_, accept(), asio::detached);
}

proxy::~proxy() = default;

asio::awaitable<void> proxy::accept() {
  for (;;) {
    auto c = std::make_shared<proxied_connection>(context_);
    std::error_code failed;
    co_await acceptor_.async_accept(c->client, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) continue;
    if (std::exchange(cut_early_, false)) c->lifetime = draw(400);
    std::erase_if(connections_, [](const auto& known) { return known.expired(); });
    connections_.push_back(c);
    asio::co_spawn(context_, serve(c), asio::detached);
  }
}

asio::awaitable<void> proxy::serve(connection_pointer c) {
  std::error_code failed = asio::error::connection_refused;
  if (target_ != 0) {
    tcp::endpoint there(asio::ip::address_v4::loopback(), target_);
    co_await c->server.async_connect(there, asio::redirect_error(asio::use_awaitable, failed));
  }
  if (failed) co_return c->reset();
  asio::co_spawn(context_, c->pump(c->client, c->server, c->pause), [c](std::exception_ptr) {});
  co_await c->pump(c->server, c->client, c->back_pause);
}

proxy::connection_pointer proxy::any() {
  std::vector<connection_pointer> open;
  for (const auto& known : connections_) {
    connection_pointer c = known.lock();
    if (c && c->client.is_open() && c->server.is_open()) open.push_back(c);
  }
  return open.empty() ? nullptr : open[draw(open.size())];
}

bool proxy::apply(cut kind) {
  connection_pointer c = any();
  if (!c) return false;
  std::error_code ignored;
  switch (kind) {
    case cut::early:
      cut_early_ = true;
      c->reset();
      break;
    case cut::reset:
      c->reset();
      break;
    case cut::half_close:
      (draw(2) == 0 ? c->client : c->server).shutdown(tcp::socket::shutdown_send, ignored);
      break;
    case cut::stall:
      c->held_until = clock_type::now() + std::chrono::milliseconds(50 + draw(700));
      break;
    case cut::silence:
      c->held_until = clock_type::time_point::max();
      break;
    case cut::trickle:
      c->trickling = 200 + draw(3000);
      break;
  }
  return true;
}

void proxy::calm() {
  cut_early_ = false;
  for (const auto& known : connections_) {
    connection_pointer c = known.lock();
    if (c && c->held()) c->reset();
  }
}

}  // namespace torture
