#pragma once

#include "full_disk.hpp"
#include "peer_arguments.hpp"

#include <ilm/messenger.hpp>
#include <ilm/networks/tcp.hpp>

#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

namespace torture {

/// To the driver: one line in one write, which a pipe takes whole.
template <class... Words>
void report(const Words&... words) {
  std::ostringstream line;
  const char* gap = "";
  ((line << std::exchange(gap, " ") << words), ...);
  line << '\n';
  std::string text = line.str();
  if (::write(report_descriptor, text.data(), text.size()) < 0) std::_Exit(exit_orphan);
}

/// A process with a messenger that its driver starts, commands and kills: all that the kinds of
/// peers have in common.
template <class Backend, class Delivery>
class driven_peer {
 public:
  driven_peer(asio::io_context& context, const peer_arguments& arguments)
      : context_(context),
        arguments_(arguments),
        random_(arguments.seed),
        commands_(context, STDIN_FILENO),
        heartbeat_(context) {}
  driven_peer(const driven_peer&) = delete;
  driven_peer& operator=(const driven_peer&) = delete;
  virtual ~driven_peer() = default;

  int run() {
    begin();
    spawn(wait_until_opened());
    spawn(watch_events());
    spawn(run_commands());
    spawn(send_heartbeats());
    context_.run();
    return exit_code_;
  }

 protected:
  using network = ilm::tcp_network<std::string>;
  using message = ilm::message<std::string>;
  using messenger_type = ilm::messenger<Backend, network, Delivery>;

  /// Starts the work of this kind of peer.
  virtual void begin() = 0;
  /// Called when the messenger has shut down.
  virtual void handle_shut_down() {}
  /// Sends without an outcome.
  virtual std::uint64_t open_sends() const { return 0; }
  /// Messages that were delivered again, and skipped.
  virtual std::uint64_t skipped() const { return 0; }

  void start(Backend store, Delivery deliver) {
    ilm::tcp_options t;
    ilm::options o;
    // A connection that a cut left silent must be detected while the test still runs.
    t.keepalive_interval = o.keepalive_interval = std::chrono::seconds(1);
    t.keepalive_timeout = o.keepalive_timeout = std::chrono::seconds(6);
    t.handshake_timeout = std::chrono::seconds(3);
    t.maximum_reconnect_delay = std::chrono::milliseconds(500);
    network net(context_, arguments_.name, t);
    net.listen("127.0.0.1:0");
    for (const peer_address& p : arguments_.peers) net.add_peer(p.name, p.address);
    report("listening", net.port());
    messenger_.emplace(context_, std::move(store), std::move(net), std::move(deliver), o);
  }

  void spawn(asio::awaitable<void> work) {
    asio::co_spawn(context_, std::move(work), [](std::exception_ptr failed) {
      if (failed) std::rethrow_exception(failed);
    });
  }

  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }

  asio::awaitable<void> pause(std::chrono::microseconds wait) {
    asio::steady_timer timer(context_);
    timer.expires_after(wait);
    co_await timer.async_wait(asio::use_awaitable);
  }
  /// Pauses once in `rarity` times, for up to `longest`: a crash then finds things half done.
  asio::awaitable<void> perhaps_pause(std::uint64_t rarity, std::chrono::microseconds longest) {
    if (draw(rarity) != 0) co_return;
    co_await pause(std::chrono::microseconds(draw(static_cast<std::uint64_t>(longest.count()))));
  }

  const peer_arguments& arguments() const noexcept { return arguments_; }
  messenger_type& messenger() noexcept { return *messenger_; }
  const messenger_type& messenger() const noexcept { return *messenger_; }
  bool is_quiet() const noexcept { return quiet_; }    ///< no more sends
  bool is_ending() const noexcept { return ending_; }  ///< a shutdown has begun
  bool has_ended() const noexcept { return ended_; }   ///< and is complete

 private:
  static constexpr std::chrono::milliseconds heartbeat_interval{50};

  /// While the disk is full the store cannot be opened, and the answer is its error.
  asio::awaitable<void> wait_until_opened() {
    while (!ending_) {
      std::error_code failed;
      co_await messenger_->undelivered(arguments_.peers.front().name,
                                       asio::redirect_error(asio::use_awaitable, failed));
      if (!failed) co_return report("opened");
      co_await pause(heartbeat_interval);
    }
  }

  asio::awaitable<void> watch_events() {
    std::error_code ended;
    for (;;) {
      auto e = co_await messenger_->next_event(asio::redirect_error(asio::use_awaitable, ended));
      if (ended) co_return;
      report("event", ilm::name_of(e.kind), e.peer ? *e.peer : "-", e.outbound.first,
             e.outbound.last, e.inbound.first, e.inbound.last, e.error ? e.error.message() : "");
      if (e.kind != ilm::event_kind::store_failed) continue;
      if (e.error == ilm::error::store_corrupt || full_disk::refused() == 0) {
        report("complaint the store failed, and its disk was not full:", e.error.message());
      }
    }
  }

  asio::awaitable<void> send_heartbeats() {
    while (!ended_) {
      std::uint64_t outbox = 0, inbox = 0, connected = 0, frames_resent = 0;
      for (const auto& p : messenger_->statistics().peers) {
        outbox += p.outbox_depth;
        inbox += p.inbox_depth;
        connected += p.connected ? 1 : 0;
        frames_resent += p.resent;
      }
      report("state", open_sends(), outbox, inbox, connected, skipped(), quiet_ ? 1 : 0,
             full_disk::refused(), frames_resent);
      std::error_code woken;
      heartbeat_.expires_after(heartbeat_interval);
      co_await heartbeat_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
  }

  asio::awaitable<void> run_commands() {
    for (;;) {
      std::array<char, 1> command{};
      std::error_code failed;
      co_await commands_.async_read_some(asio::buffer(command),
                                         asio::redirect_error(asio::use_awaitable, failed));
      // The driver has ended: so does the peer.
      if (failed) std::_Exit(exit_orphan);
      quiet_ = true;
      if (command[0] == 'r') co_return co_await end(std::chrono::seconds(2));
      if (command[0] == 's') co_return co_await end(std::chrono::seconds(60));
    }
  }

  asio::awaitable<void> end(std::chrono::seconds limit) {
    ending_ = true;
    std::error_code failed;
    auto totals =
        co_await messenger_->shutdown(limit, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      report("complaint the shutdown failed:", failed.message());
      exit_code_ = exit_failed;
    }
    report("finished", totals.delivered, totals.undelivered, totals.unread);
    ended_ = true;
    heartbeat_.cancel();
    handle_shut_down();
    // The process now ends by itself, which shows that a messenger has no work after a shutdown.
  }

  asio::io_context& context_;
  const peer_arguments& arguments_;
  std::mt19937_64 random_;
  asio::posix::stream_descriptor commands_;
  asio::steady_timer heartbeat_;
  std::optional<messenger_type> messenger_;
  int exit_code_ = 0;
  bool quiet_ = false;
  bool ending_ = false;
  bool ended_ = false;
};

}  // namespace torture
