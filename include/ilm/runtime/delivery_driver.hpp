#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>

#include <algorithm>
#include <cassert>
#include <exception>
#include <memory>
#include <optional>
#include <utility>

namespace ilm::inline v0::runtime {

/// Delivers messages to the application: one at a time for each peer, peers concurrently.
class delivery_driver {
 public:
  using owner = std::shared_ptr<const void>;

  delivery_driver(context& c, peers& all, dispatcher& d, std::unique_ptr<delivery_port> port)
      : context_(c), peers_(all), dispatcher_(d), port_(std::move(port)) {}

  void start(peer& p, owner keep) {
    asio::co_spawn(context_.strand, delivery_loop(std::move(keep), p),
                   asio::bind_cancellation_slot(p.stop_delivering.slot(), asio::detached));
  }

  /// Whether a message is with the application.
  bool delivering() const {
    return std::any_of(peers_.begin(), peers_.end(),
                       [](const auto& entry) { return entry.second->delivering; });
  }
  /// Whether the end of the calls under way does not depend on a reader.
  bool ends_by_itself() const noexcept { return !port_->waits_for_reader(); }

  /// Cancels the calls under way.
  void cancel() {
    for (auto& [name, p] : peers_) {
      if (p->delivering) p->stop_delivering.emit(asio::cancellation_type::terminal);
    }
  }

  void stop() {
    for (auto& [name, p] : peers_) {
      p->deliver.notify();
      p->stop_delivering.emit(asio::cancellation_type::terminal);
    }
  }
  /// Destroys the coroutines that wait.
  void abandon() {
    for (auto& [name, p] : peers_) p->deliver.abandon();
  }

 private:
  asio::awaitable<void> delivery_loop(owner, peer& p) {
    protocol::timestamp now = context_.now();
    for (unsigned count = 1; !context_.life.ended(); ++count) {
      const stored_message* next = context_.life.delivers() ? p.core.poll_delivery(now) : nullptr;
      if (next == nullptr) {
        co_await p.deliver.wait();
        now = context_.now();
        continue;
      }
      std::exception_ptr failed;
      assert(!p.delivering);
      p.delivering = true;
      try {
        std::optional<asio::awaitable<void>> running = port_->deliver(*p.name, *next);
        if (running) {
          co_await std::move(*running);
          now = context_.now();
        }
      } catch (...) {
        failed = std::current_exception();
      }
      p.delivering = false;
      context_.progress.notify();
      if (context_.life.ended()) break;
      // Calls that return at once share one reading of the clock.
      if (failed) now = context_.now();
      handle_ended(p, failed, now);
      // Drain up to 64 deliveries before the others get their turn.
      if (failed || !p.core.has_delivery(now) || count % deliveries_before_yield == 0) {
        dispatcher_.service(p);
        co_await context_.yield();
        now = context_.now();
      }
    }
  }

  void handle_ended(peer& p, const std::exception_ptr& failed, protocol::timestamp now) {
    assert(!p.delivering && !context_.life.ended());
    if (!failed) {
      ++p.consumed;
      p.core.handle_consumed(now);
      // The next call may wait for long: the store learns of this one without it.
      peers_.list_changed(p);
      context_.store_wake.notify();
    } else if (context_.life.delivers()) {
      p.core.handle_delivery_failed(detail::failure_of(failed), now);
    }
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  std::unique_ptr<delivery_port> port_;
};

}  // namespace ilm::inline v0::runtime
