#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/event_source.hpp>
#include <ilm/networks/tcp/session_builder.hpp>

#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <cassert>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Listens, and limits how many connections are unauthenticated: accepted and in the handshake.
class acceptor : public std::enable_shared_from_this<acceptor> {
 public:
  acceptor(const asio::any_io_executor& executor, std::shared_ptr<const configuration> c)
      : configuration_(std::move(c)), socket_(executor) {}

  /// Throws std::system_error.
  void listen(std::string_view text) {
    address where = parse_address(text);
    asio::ip::tcp::endpoint at;
    std::error_code not_numeric;
    at.address(asio::ip::make_address(where.host, not_numeric));
    at.port(where.port);
    if (not_numeric) {
      asio::ip::tcp::resolver resolver(socket_.get_executor());
      at = *resolver.resolve(where.host, std::to_string(where.port)).begin();
    }
    socket_.open(at.protocol());
    std::error_code failed;
    socket_.set_option(asio::ip::tcp::acceptor::reuse_address(true), failed);
    if (!failed) socket_.bind(at, failed);
    if (!failed) socket_.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) {
      std::error_code ignored;
      socket_.close(ignored);
      throw std::system_error(with_system_category(failed),
                              "cannot listen on " + std::string(text));
    }
    if (executor_) spawn_accept_loop();
  }

  asio::ip::tcp::endpoint local_endpoint() const { return socket_.local_endpoint(); }

  /// Accepts from now on, on `executor`.
  void start(asio::any_io_executor executor, std::shared_ptr<event_source> events,
             std::shared_ptr<session_builder> builder) {
    assert(!executor_ && events && builder);
    executor_ = std::move(executor);
    events_ = std::move(events);
    builder_ = std::move(builder);
    if (socket_.is_open()) spawn_accept_loop();
  }

  void close() {
    closed_ = true;
    std::error_code ignored;
    socket_.close(ignored);
  }

 private:
  using acceptor_pointer = std::shared_ptr<acceptor>;

  bool invariants_hold() const noexcept {
    return unauthenticated_ <= configuration_->options.maximum_unauthenticated &&
           executor_.has_value() == (events_ != nullptr) &&
           executor_.has_value() == (builder_ != nullptr);
  }

  void spawn_accept_loop() {
    assert(socket_.is_open() && invariants_hold());
    asio::co_spawn(*executor_, accept_connections(shared_from_this()), asio::detached);
  }

  static asio::awaitable<void> accept_connections(acceptor_pointer self) {
    asio::steady_timer pause(*self->executor_);
    while (!self->closed_) {
      std::error_code failed;
      asio::ip::tcp::socket accepted = co_await self->socket_.async_accept(
          *self->executor_, asio::redirect_error(asio::use_awaitable, failed));
      if (self->closed_) break;
      if (!failed) {
        self->admit(std::move(accepted));
      } else {
        pause.expires_after(accept_pause);
        co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, failed));
      }
    }
  }

  void admit(asio::ip::tcp::socket accepted) {
    if (unauthenticated_ >= configuration_->options.maximum_unauthenticated) {
      events_->add_refusal(std::nullopt, tcp_error::too_many_connections);
      return;
    }
    auto c = std::make_shared<connection>(std::move(accepted), false);
    c->prepare();
    ++unauthenticated_;
    assert(invariants_hold());
    asio::co_spawn(*executor_, authenticate(shared_from_this(), std::move(c)), asio::detached);
  }

  static asio::awaitable<void> authenticate(acceptor_pointer self, std::shared_ptr<connection> c) {
    std::optional<byte_string> peer;
    failure failed = co_await self->builder_->establish(c, peer);
    if (failed && !self->closed_) {
      // A connection that closes without a word concerns nobody, nor does one of two that collide.
      std::error_code why = failed.code;
      if (why.category() == tcp_category() && why != tcp_error::handshake_cut &&
          why != tcp_error::already_connected) {
        self->events_->add_refusal(peer, std::move(failed));
      }
      co_await self->builder_->reject(c, why);
    }
    assert(self->unauthenticated_ > 0);
    --self->unauthenticated_;
    assert(self->invariants_hold());
  }

  std::shared_ptr<const configuration> configuration_;
  asio::ip::tcp::acceptor socket_;
  std::optional<asio::any_io_executor> executor_;  ///< from `start` on, as the next two
  std::shared_ptr<event_source> events_;
  std::shared_ptr<session_builder> builder_;
  std::size_t unauthenticated_ = 0;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
