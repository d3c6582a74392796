#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/protocol/first_frame.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/part.hpp>
#include <ilm/runtime/reading_pause.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Hands the network's reports to the cores, and the cores' frames to the network: one coroutine
/// that receives, and one for each peer that writes.
class network_driver final : network_sink {
 public:
  using owner = std::shared_ptr<const void>;

  network_driver(context& c, peers& all, dispatcher& d, const peer_name& local,
                 std::unique_ptr<network_port> port)
      : context_(c),
        peers_(all),
        dispatcher_(d),
        local_(local),
        reliable_(port->reliable()),
        maximum_frame_size_(port->maximum_frame_size()),
        port_(std::move(port)) {}

  void start(owner keep) {
    context_.guard.spawn(context_.strand, std::move(keep), receive_loop(), stop_receiving_.slot());
  }
  void start(peer& p, owner keep) {
    context_.guard.spawn(context_.strand, std::move(keep), write_loop(p), p.stop_writing.slot(),
                         keep_until_end(p));
  }

  /// Has every core send its last frame.
  void say_bye() {
    said_bye_ = true;
    for (auto& [name, p] : peers_) {
      p->core.handle_close();
      p->write.notify();
    }
  }

  void handle_time(protocol::timestamp now) {
    if (pause_ends_ > now) return;
    pause_ends_ = protocol::never;
    context_.read_wake.notify();
  }
  protocol::timestamp deadline() const noexcept { return pause_ends_; }

  void stop() {
    context_.read_wake.notify();
    for (auto& [name, p] : peers_) {
      p->write.notify();
      p->stop_writing.emit(asio::cancellation_type::terminal);
    }
    stop_receiving_.emit(asio::cancellation_type::terminal);
    port_.release();
  }
  /// Destroys the network, and the coroutines that wait.
  void abandon() {
    port_.abandon();
    context_.read_wake.abandon();
    for (auto& [name, p] : peers_) p->write.abandon();
  }

 private:
  asio::awaitable<void> receive_loop() {
    std::exception_ptr failed;
    {
      part<network_port>::use network(port_);
      try {
        while (!context_.life.retired()) {
          reports_ = 0;
          co_await network->receive(*this);
          // A network that always has something must not starve the rest.
          if (!context_.life.retired()) co_await context_.read_wake.wait_a_turn();
          while (!context_.life.retired() && !may_read()) co_await context_.read_wake.wait();
        }
      } catch (...) {
        failed = std::current_exception();
      }
    }
    if (context_.life.retired() || !failed) co_return;
    context_.report(event_kind::network_ended, detail::failure_of(failed));
    for (auto& [name, p] : peers_) {
      p->has_network = false;
      p->core.handle_session_down();
      dispatcher_.service(*p);
    }
  }

  bool handle_report(const network_report& r) override {
    assert(reports_ < reports_before_yield);
    if (!context_.life.retired()) context_.guard.run([&] { handle(r); });
    return !context_.life.retired() && ++reports_ < reports_before_yield && has_room();
  }

  bool has_room() const noexcept { return peers_.memory().has_room_for_unstored(); }
  bool may_read() {
    protocol::timestamp now = context_.now();
    bool may = pause_.may_read(has_room(), now);
    pause_ends_ = pause_.deadline(now);
    context_.wake_by(pause_ends_);
    return may;
  }

  bool handle_thrown(const std::exception_ptr& thrown) noexcept override {
    context_.guard.fail(thrown);
    return false;
  }

  void handle(const network_report& r) {
    using type = network_report::type;
    assert(!context_.life.opening());
    if (r.kind == type::problem) {
      std::shared_ptr<peer_name> mentioned;
      if (r.peer != nullptr) mentioned = r.peer->mention();
      return context_.report(event_kind::network_problem, r.why, mentioned.get());
    }
    peer_name* name = r.peer->find();
    if (name == &local_) return;
    // No session begins any more, with nobody.
    if (said_bye_ && (name == nullptr || name->state == nullptr)) return;
    peer* known = peers_.find(name);
    if (known == nullptr) known = r.kind == type::down ? nullptr : meet(r);
    if (known == nullptr) return;
    peer& p = *known;
    switch (r.kind) {
      case type::up:
        ++p.session_changes;
        p.send_error.clear();
        p.has_network = true;
        p.stranger_until = protocol::never;
        if (!p.forgetting()) p.core.handle_session_up(context_.now());
        break;
      case type::down:
        ++p.session_changes;
        p.has_network = false;
        p.stranger_until = context_.now();
        p.core.handle_session_down();
        break;
      case type::frame:
        ++p.frames_received;
        if (!p.forgetting()) take_frame(p, r.frame);
        break;
      case type::problem:
        break;
    }
    dispatcher_.service(p);
    remove_stranger(p);
  }

  void take_frame(peer& p, std::span<const std::byte> frame) {
    p.core.handle_frame(frame, context_.now(), peers_.memory().has_room_for_unstored(p));
  }

  /// A peer that nothing is known of, if the report is reason to remember it: the network vouches
  /// for it, or it asks for a hello.
  peer* meet(const network_report& r) {
    // An id that cannot be one is not shown.
    if (detail::failure unusable = r.peer->reason_against()) {
      context_.report(event_kind::frame_rejected, std::move(unusable));
      return nullptr;
    }
    bool frame = r.kind == network_report::type::frame;
    if (frame && !asks_for_hello(r, r.peer->encoded())) return nullptr;
    peer& p = peers_.of(r.peer->add());
    if (frame) p.stranger_until = protocol::after(context_.now(), protocol::nonce_lifetime);
    return &p;
  }

  bool asks_for_hello(const network_report& r, bytes id) {
    protocol::first_frame first =
        protocol::read_first_frame(r.frame, peers_.setup_for(std::move(id)));
    if (first.wrong) {
      std::shared_ptr<peer_name> mentioned = r.peer->mention();
      context_.report(event_kind::frame_rejected, first.wrong, mentioned.get());
    }
    return first.challenges;
  }

  /// Nothing is kept of a peer that goes again before it said a valid hello, if there is nothing
  /// for it.
  void remove_stranger(peer& p) {
    if (p.stranger_until > context_.now() || !p.is_stranger()) return;
    dispatcher_.remove(p);
  }

  asio::awaitable<void> write_loop(peer& p) {
    std::size_t usual = 0;
    while (!context_.life.retired() && !p.removed()) {
      std::vector<std::byte> frame;
      frame.reserve(usual);
      if (!p.core.poll_frame(frame, context_.now())) {
        dispatcher_.request_pages(p, context_.now());
        dispatcher_.update_memory(p);
        dispatcher_.report_events(p);
        dispatcher_.publish(p);
        dispatcher_.watch_rest(p);
        context_.progress.notify();
        co_await p.write.wait();
        continue;
      }
      assert(!frame.empty() && frame.size() <= maximum_frame_size_);
      usual = frame.size();
      ++p.frames_sent;
      assert(!p.writing);
      peers_.set_writing(p, true);
      dispatcher_.arm(p);
      std::uint64_t session = p.session_changes;
      std::exception_ptr failed = co_await send(p, std::move(frame));
      peers_.set_writing(p, false);
      if (context_.life.retired()) break;
      remove_stranger(p);
      if (p.removed()) break;
      // The frame that failed may belong to a session that the network has replaced meanwhile.
      if (failed && session == p.session_changes) {
        handle_send_failed(p, detail::failure_of(failed));
      }
      if (p.forgetting()) {
        co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
        peers_.list_calmer(p);
        context_.store_wake.notify();
      }
    }
  }

  /// Apart from the loop, as `store_driver::open` is.
  asio::awaitable<std::exception_ptr> send(const peer& p, std::vector<std::byte> frame) {
    part<network_port>::use network(port_);
    try {
      co_await network->send(*p.name, std::move(frame));
    } catch (...) {
      co_return std::current_exception();
    }
    co_return nullptr;
  }

  /// The frame is lost; on a reliable network, that is the end of the session.
  void handle_send_failed(peer& p, detail::failure why) {
    if (std::exchange(p.send_error, why.code) != why.code) {
      context_.report(event_kind::network_problem, std::move(why), p.name.get());
    }
    if (!reliable_) return;
    p.core.handle_session_down();
    dispatcher_.service(p);
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  const peer_name& local_;
  bool reliable_;
  std::size_t maximum_frame_size_;
  part<network_port> port_;
  asio::cancellation_signal stop_receiving_;
  unsigned reports_ = 0;  ///< since others had a turn
  bool said_bye_ = false;
  reading_pause pause_;
  protocol::timestamp pause_ends_ = protocol::never;  ///< `never` where none is
};

}  // namespace ilm::inline v0::runtime
