#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/await_into.hpp>
#include <ilm/networks/tcp/accept_failures.hpp>
#include <ilm/networks/tcp/admission.hpp>
#include <ilm/networks/tcp/event_source.hpp>

#include <asio/ip/tcp.hpp>
#include <asio/steady_timer.hpp>

#include <cassert>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Listens, and hands over the connections that it accepts.
class acceptor : public std::enable_shared_from_this<acceptor> {
 public:
  explicit acceptor(const asio::any_io_executor& executor) : socket_(executor) {}

  /// `text` names the place to people. Throws std::system_error.
  void listen(const asio::ip::tcp::endpoint& at, std::string_view text) {
    socket_.open(at.protocol());
    std::error_code failed;
    socket_.set_option(asio::ip::tcp::acceptor::reuse_address(true), failed);
    if (!failed) socket_.bind(at, failed);
    if (!failed) socket_.non_blocking(true, failed);
    if (!failed) socket_.listen(asio::socket_base::max_listen_connections, failed);
    if (failed) {
      std::error_code ignored;
      socket_.close(ignored);
      throw std::system_error(with_system_category(failed),
                              "cannot listen on " + std::string(text));
    }
    if (running_) spawn_accept_loop();
  }

  bool listening() const { return socket_.is_open(); }
  asio::ip::tcp::endpoint local_endpoint() const { return socket_.local_endpoint(); }

  /// Accepts from now on, on `executor`.
  void start(asio::any_io_executor executor, std::shared_ptr<event_source> events,
             std::shared_ptr<admission> entry) {
    assert(!running_ && events && entry);
    running_.emplace(std::move(executor), std::move(events), std::move(entry));
    if (socket_.is_open()) spawn_accept_loop();
  }

  void close() {
    closed_ = true;
    std::error_code ignored;
    socket_.close(ignored);
    if (!running_) return;
    running_->pause.cancel();
    running_->calm.cancel();
  }

 private:
  using acceptor_pointer = std::shared_ptr<acceptor>;

  /// The parts that need the strand.
  struct parts {
    parts(asio::any_io_executor e, std::shared_ptr<event_source> s, std::shared_ptr<admission> a)
        : executor(std::move(e)),
          events(std::move(s)),
          entry(std::move(a)),
          pause(executor),
          calm(executor) {}

    asio::any_io_executor executor;
    std::shared_ptr<event_source> events;
    std::shared_ptr<admission> entry;
    asio::steady_timer pause;  ///< after a failure
    asio::steady_timer calm;   ///< from a failure until it is over
  };

  void spawn_accept_loop() {
    assert(socket_.is_open());
    running_->events->spawn(accept_connections(shared_from_this()));
  }

  static asio::awaitable<void> accept_connections(acceptor_pointer self) {
    while (!self->closed_) {
      // Asio would accept in a handler of its own, and end this coroutine where memory is short.
      std::error_code failed;
      co_await self->socket_.async_wait(asio::ip::tcp::acceptor::wait_read, await_into(failed));
      if (self->closed_) break;
      asio::ip::tcp::socket accepted(self->running_->executor);
      if (!failed) self->socket_.accept(accepted, failed);
      if (!failed) {
        self->failures_.handle_success();
        self->running_->entry->admit(std::move(accepted));
      } else if (failed != asio::error::connection_aborted && failed != asio::error::would_block &&
                 failed != asio::error::try_again) {
        co_await self->recover(failed);
      }
    }
  }

  /// The system refuses. Peers wait in its queue meanwhile, unless an unauthenticated connection
  /// can be closed for the next one.
  asio::awaitable<void> recover(std::error_code why) {
    if (failures_.handle_failure(clock::now())) {
      std::string text = "connections cannot be accepted: " + why.message();
      running_->events->add_problem(std::nullopt, failure(why, std::move(text)));
    }
    report_end_when_calm();
    if (running_->entry->close_one()) co_return;
    std::error_code ignored;
    running_->pause.expires_after(failures_.pause());
    co_await running_->pause.async_wait(await_into(ignored));
  }

  void report_end_when_calm() {
    running_->calm.expires_at(failures_.over_at());
    running_->calm.async_wait([weak = weak_from_this()](std::error_code cancelled) {
      acceptor_pointer self = weak.lock();
      if (cancelled || !self || self->closed_) return;
      self->running_->events->guard().run([&] { self->report_end(); });
    });
  }

  void report_end() {
    if (std::optional<std::string> text = failures_.poll_end(clock::now())) {
      running_->events->add_problem(std::nullopt,
                                    failure(tcp_error::accepting_again, std::move(*text)));
    }
  }

  asio::ip::tcp::acceptor socket_;
  accept_failures failures_;
  std::optional<parts> running_;  ///< from `start` on
  bool closed_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
