#pragma once

#include <ilm/networks/tcp/async_condition.hpp>
#include <ilm/networks/tcp/interface.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <cassert>
#include <cstddef>
#include <deque>
#include <memory>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// The events of one peer that `receive` has yet to give. Bounded: beyond the receive buffer
/// nothing is read from the socket, and a session whose `up` was not received leaves no events
/// behind.
class pending_events {
 public:
  pending_events(byte_string peer, const asio::any_io_executor& executor)
      : room_(executor), peer_(std::make_shared<const byte_string>(std::move(peer))) {}

  const byte_string& peer() const noexcept { return *peer_; }
  bool empty() const noexcept { return events_.empty(); }
  std::size_t bytes() const noexcept { return bytes_; }
  bool in_session() const noexcept { return in_session_; }
  /// Whether `receive` gave the `up` of the session that lasts.
  bool announced() const noexcept { return announced_; }

  void begin_session() {
    assert(!in_session_);
    events_.emplace_back(type::up);
    in_session_ = true;
    check_invariants();
  }

  void add_frame(byte_string frame) {
    assert(in_session_);
    events_.emplace_back(type::frame, std::move(frame));
    bytes_ += events_.back().cost();
    check_invariants();
  }

  void end_session() {
    assert(in_session_);
    in_session_ = false;
    if (std::exchange(announced_, false)) {
      events_.emplace_back(type::down);
    } else {
      discard_last_session();
    }
    check_invariants();
  }

  /// The next event; there must be one.
  encoded_event take() {
    assert(!events_.empty());
    event next = std::move(events_.front());
    events_.pop_front();
    bytes_ -= next.cost();
    if (next.kind != type::frame) announced_ = next.kind == type::up;
    check_invariants();
    return encoded_event(next.kind, peer_, std::move(next.frame));
  }

  /// The last event that was taken was not passed on. Whether its session lasts: it is to end.
  bool withdraw(encoded_event::type last) {
    while (!events_.empty() && events_.front().kind == type::frame) {
      bytes_ -= events_.front().cost();
      events_.pop_front();
    }
    bool lasts = announced_;
    if (last == type::up) announced_ = false;
    return lasts;
  }

  /// Notified when the bytes fall below the receive buffer, and when a session ends.
  async_condition& room() noexcept { return room_; }

  /// Of event_source: whether these events are in its queue.
  bool is_ready = false;

 private:
  using type = encoded_event::type;

  struct event {
    explicit event(type kind_, byte_string frame_ = {}) : kind(kind_), frame(std::move(frame_)) {}
    std::size_t cost() const noexcept {
      return kind == type::frame ? frame.size() + frame_overhead : 0;
    }

    type kind;
    byte_string frame;
  };

  void discard_last_session() {
    bool was_up = false;
    while (!was_up && !events_.empty()) {
      was_up = events_.back().kind == type::up;
      bytes_ -= events_.back().cost();
      events_.pop_back();
    }
  }

  void check_invariants() const {
    assert(!announced_ || in_session_);
    assert(bytes_ >= frame_overhead || bytes_ == 0);
    assert(!events_.empty() || bytes_ == 0);
    assert(!in_session_ || announced_ || !events_.empty());
  }

  async_condition room_;
  std::shared_ptr<const byte_string> peer_;
  std::deque<event> events_;
  std::size_t bytes_ = 0;
  bool in_session_ = false;
  bool announced_ = false;
};

}  // namespace ilm::inline v0::detail::tcp
