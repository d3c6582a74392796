#pragma once

#include "journal.hpp"
#include "payload.hpp"
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
#include <deque>
#include <exception>
#include <filesystem>
#include <map>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <system_error>
#include <utility>

namespace torture {

/// A peer that the application sends to: the journal gives the next id.
struct destination {
  destination(std::string peer_name, std::uint8_t peer_number)
      : name(std::move(peer_name)), number(peer_number) {}

  std::string name;
  std::uint8_t number;
  std::uint64_t next_id = 1;
  std::uint64_t open_sends = 0;
};

/// A peer that it receives from: the journal gives the last message.
struct source {
  std::uint64_t last_index = 0;       ///< in the journal
  std::uint64_t delivered_index = 0;  ///< the last one delivered to this process
};

/// An application as the README advises: it records a message together with its index, in one step,
/// and skips indexes that it has.
template <class Backend>
class application {
  using network = ilm::tcp_network<std::string>;
  using message = ilm::message<std::string>;

  struct delivery {
    explicit delivery(application* to) : app(to) {}
    asio::awaitable<void> operator()(message m) const { return app->consume(std::move(m)); }
    application* app;
  };
  using messenger = ilm::messenger<Backend, network, delivery>;

 public:
  application(asio::io_context& context, const peer_arguments& arguments, Backend store)
      : context_(context),
        arguments_(arguments),
        random_(arguments.seed),
        sent_(arguments.file("sent")),
        received_(arguments.file("received")),
        commands_(context, STDIN_FILENO),
        heartbeat_(context) {
    for (const peer_address& p : arguments.peers) destinations_.emplace_back(p.name, p.number);
    restore();
    start(std::move(store));
  }

  int run() {
    for (destination& d : destinations_) asio::co_spawn(context_, send(d), rethrow);
    asio::co_spawn(context_, watch_events(), rethrow);
    asio::co_spawn(context_, run_commands(), rethrow);
    asio::co_spawn(context_, send_heartbeats(), rethrow);
    context_.run();
    return exit_code_;
  }

 private:
  /// Sends without an outcome, and messages in the outbox, per peer.
  static constexpr std::uint64_t open_sends_limit = 400;
  static constexpr std::uint64_t outbox_limit = 2000;
  static constexpr std::chrono::milliseconds heartbeat_interval{50};

  static void rethrow(std::exception_ptr failed) {
    if (failed) std::rethrow_exception(failed);
  }

  std::uint64_t draw(std::uint64_t bound) { return random_() % bound; }

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

  /// Continues from the journals of earlier processes. Sends without an outcome stay in doubt.
  void restore() {
    journal_reader<sent_record> sent(arguments_.file("sent"));
    for (const sent_record& r : sent.read()) {
      if (r.kind != sent_record::type::intent) continue;
      for (destination& d : destinations_) {
        if (d.number == r.to) d.next_id = r.id + r.value;
      }
    }
    journal_reader<received_record> received(arguments_.file("received"));
    for (const received_record& r : received.read()) {
      // A store that was put back counts anew, and so does the application.
      if (r.generation == arguments_.generation) sources_[r.from].last_index = r.index;
    }
  }

  void start(Backend store) {
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
    messenger_.emplace(context_, std::move(store), std::move(net), delivery(this), o);
  }

  // Sending.

  asio::awaitable<void> send(destination& to) {
    asio::steady_timer timer(context_);
    while (!ending_) {
      if (!quiet_ && to.open_sends < open_sends_limit && depth(to) < outbox_limit) send_batch(to);
      timer.expires_after(std::chrono::microseconds(draw(8000)));
      co_await timer.async_wait(asio::use_awaitable);
    }
  }

  std::uint64_t depth(const destination& to) const {
    for (const auto& p : messenger_->statistics().peers) {
      if (p.peer == to.name) return p.outbox_depth;
    }
    return 0;
  }

  void send_batch(destination& to) {
    std::uint64_t count = draw(10) == 0 ? 1 + draw(200) : 1 + draw(20);
    write_sent(sent_record::type::intent, to, to.next_id, count);
    for (; count > 0; --count) {
      std::uint64_t id = to.next_id++;
      payload p(arguments_.number, to.number, id);
      ++to.open_sends;
      messenger_->send_to(to.name, p.contents(),
                          [this, &to, id](std::error_code failed, std::uint64_t sequence) {
                            handle_outcome(to, id, failed, sequence);
                          });
    }
  }

  void handle_outcome(destination& to, std::uint64_t id, std::error_code failed,
                      std::uint64_t sequence) {
    --to.open_sends;
    if (!failed) {
      write_sent(sent_record::type::done, to, id, sequence);
      if (!std::exchange(opened_, true)) report("opened");
    } else if (failed != asio::error::operation_aborted) {
      write_sent(sent_record::type::failed, to, id, static_cast<std::uint64_t>(failed.value()));
      if (failed != ilm::error::shut_down) report("complaint a send failed:", failed.message());
    }
  }

  void write_sent(sent_record::type kind, const destination& to, std::uint64_t id,
                  std::uint64_t value) {
    sent_record r;
    r.kind = kind;
    r.to = to.number;
    r.process_number = arguments_.process_number;
    r.id = id;
    r.value = value;
    sent_.append(r);
  }

  // Receiving.

  asio::awaitable<void> consume(message m) {
    if (draw(200) == 0) {
      // Messages wait in the inbox meanwhile, so that a crash leaves some there.
      asio::steady_timer timer(context_);
      timer.expires_after(std::chrono::microseconds(draw(20'000)));
      co_await timer.async_wait(asio::use_awaitable);
    }
    write_received(m);
  }

  void write_received(const message& m) {
    std::uint8_t number = number_of(m.from);
    source& from = sources_[number];
    if (from.delivered_index != 0 && m.index != from.delivered_index + 1) {
      report("complaint", m.from, "index", m.index, "after", from.delivered_index,
             "in one process");
    }
    from.delivered_index = m.index;
    if (arguments_.sabotage == "forget" && draw(500) == 0) return;
    if (m.index <= from.last_index && arguments_.sabotage != "repeat") {
      ++again_;
      return;
    }
    received_record r;
    r.from = number;
    r.generation = arguments_.generation;
    r.process_number = arguments_.process_number;
    r.index = m.index;
    r.sequence = m.sequence;
    r.id = payload::id_of(m.contents.view());
    r.intact = payload(number, arguments_.number, r.id).matches(m.contents.view()) ? 1 : 0;
    received_.append(r);
    from.last_index = m.index;
  }

  // Reports to the driver, and its commands.

  asio::awaitable<void> watch_events() {
    std::error_code ended;
    for (;;) {
      auto e = co_await messenger_->next_event(asio::redirect_error(asio::use_awaitable, ended));
      if (ended) co_return;
      report("event", ilm::name_of(e.kind), e.peer ? *e.peer : "-", e.outbound.first,
             e.outbound.last, e.inbound.first, e.inbound.last, e.error ? e.error.message() : "");
    }
  }

  asio::awaitable<void> send_heartbeats() {
    while (!ending_) {
      std::uint64_t open = 0, outbox = 0, inbox = 0, connected = 0, frames_resent = 0;
      for (const destination& d : destinations_) open += d.open_sends;
      for (const auto& p : messenger_->statistics().peers) {
        outbox += p.outbox_depth;
        inbox += p.inbox_depth;
        connected += p.connected ? 1 : 0;
        frames_resent += p.resent;
      }
      report("state", open, outbox, inbox, connected, again_, quiet_ ? 1 : 0, frames_resent);
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
    std::error_code failed;
    auto totals =
        co_await messenger_->shutdown(limit, asio::redirect_error(asio::use_awaitable, failed));
    if (failed) {
      report("complaint the shutdown failed:", failed.message());
      exit_code_ = exit_failed;
    }
    report("finished", totals.delivered, totals.undelivered, totals.unread);
    ending_ = true;
    heartbeat_.cancel();
    // The process now ends by itself, which shows that a messenger has no work after a shutdown.
  }

  asio::io_context& context_;
  const peer_arguments& arguments_;
  std::mt19937_64 random_;
  journal<sent_record> sent_;
  journal<received_record> received_;
  asio::posix::stream_descriptor commands_;
  asio::steady_timer heartbeat_;
  std::deque<destination> destinations_;
  std::map<std::uint8_t, source> sources_;
  std::optional<messenger> messenger_;
  std::uint64_t again_ = 0;
  int exit_code_ = 0;
  bool opened_ = false;
  bool quiet_ = false;
  bool ending_ = false;
};

}  // namespace torture
