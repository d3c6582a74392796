#pragma once

#include <ilm/detail/asio.hpp>
#include <ilm/detail/completion.hpp>
#include <ilm/testing/simulated_clock.hpp>

#include <memory>
#include <optional>
#include <system_error>
#include <utility>

// How a simulated network's coroutines wait: for an event to arrive, or for a link to take frames.

namespace ilm::inline v0::testing {

/// The waiting side of one peer's network: woken by an arrival, a cancellation, or the end.
class arrival_waiter : public std::enable_shared_from_this<arrival_waiter> {
 public:
  using time_point = simulated_clock::time_point;

  bool ended() const noexcept { return ended_; }
  bool cancelled() const noexcept { return cancelled_; }
  void end() {
    ended_ = true;
    wake();
  }
  void cancel() {
    cancelled_ = true;
    wake();
  }
  /// Cancelled while a send waited for its link: a receive that waits is not woken.
  void note_cancelled_send() noexcept { cancelled_ = true; }

  void use_timer_on(const asio::any_io_executor& executor) {
    if (!timer_) timer_ = std::make_unique<simulated_timer>(executor);
  }
  /// An event arrives at `due`: a receive that waits is woken then.
  void expect(time_point due) {
    if (due <= simulated_clock::now()) {
      wake();
    } else if (waiting_) {
      arm(due);
    }
  }
  void suspend(detail::completion<> receive, std::optional<time_point> first_due) {
    waiting_ = std::move(receive);
    if (first_due) arm(*first_due);
  }

 private:
  void wake() {
    if (waiting_) waiting_();
  }

  /// Wakes the receive at `due`, unless it will be woken before.
  void arm(time_point due) {
    if (due >= armed_ || !timer_) return;
    armed_ = due;
    timer_->expires_at(due);
    timer_->async_wait([weak = weak_from_this()](std::error_code failed) {
      std::shared_ptr<arrival_waiter> self = weak.lock();
      if (failed || !self) return;
      self->armed_ = time_point::max();
      self->wake();
    });
  }

  detail::completion<> waiting_;
  std::unique_ptr<simulated_timer> timer_;
  time_point armed_ = time_point::max();
  bool ended_ = false;
  bool cancelled_ = false;
};

/// Lets sends wait while a link is stalled. One send at a time waits.
class send_gate {
 public:
  bool stalled() const noexcept { return stalled_; }
  void stall() noexcept { stalled_ = true; }
  void resume() {
    stalled_ = false;
    wake();
  }
  void wake() {
    if (waiting_) waiting_();
  }
  void suspend(detail::completion<> send) { waiting_ = std::move(send); }

 private:
  detail::completion<> waiting_;
  bool stalled_ = false;
};

/// Initiates the wait of a receive.
class wait_for_arrival {
 public:
  wait_for_arrival(std::shared_ptr<arrival_waiter> waiter,
                   std::optional<simulated_clock::time_point> first_due, asio::any_io_executor e)
      : waiter_(std::move(waiter)), first_due_(first_due), executor_(std::move(e)) {}

  template <class Handler>
  void operator()(Handler&& handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak = std::weak_ptr<arrival_waiter>(waiter_)](asio::cancellation_type) {
        if (std::shared_ptr<arrival_waiter> waiter = weak.lock()) waiter->cancel();
      });
    }
    waiter_->suspend(detail::completion<>(std::forward<Handler>(handler), executor_), first_due_);
  }

 private:
  std::shared_ptr<arrival_waiter> waiter_;
  std::optional<simulated_clock::time_point> first_due_;
  asio::any_io_executor executor_;
};

/// Initiates the wait of a send for its link.
class wait_for_room {
 public:
  wait_for_room(std::shared_ptr<arrival_waiter> sender, std::shared_ptr<send_gate> gate,
                asio::any_io_executor e)
      : sender_(std::move(sender)), gate_(std::move(gate)), executor_(std::move(e)) {}

  template <class Handler>
  void operator()(Handler&& handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) {
      slot.assign([weak_gate = std::weak_ptr<send_gate>(gate_),
                   weak_sender = std::weak_ptr<arrival_waiter>(sender_)](asio::cancellation_type) {
        std::shared_ptr<send_gate> gate = weak_gate.lock();
        std::shared_ptr<arrival_waiter> sender = weak_sender.lock();
        if (!gate || !sender) return;
        sender->note_cancelled_send();
        gate->wake();
      });
    }
    gate_->suspend(detail::completion<>(std::forward<Handler>(handler), executor_));
  }

 private:
  std::shared_ptr<arrival_waiter> sender_;
  std::shared_ptr<send_gate> gate_;
  asio::any_io_executor executor_;
};

}  // namespace ilm::inline v0::testing
