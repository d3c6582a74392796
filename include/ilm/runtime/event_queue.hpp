#pragma once

#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/runtime/named.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// Events that are not read yet, or readers that wait for the next event. When it is full the
/// oldest event goes, and the reader is told how many went.
class event_queue {
 public:
  using handler = detail::completion<std::error_code, named_event>;

  explicit event_queue(std::size_t limit) : limit_(limit) { assert(limit_ > 0); }

  void put(named_event e) {
    if (!readers_.empty()) {
      handler reader = std::move(readers_.front().second);
      readers_.pop_front();
      reader({}, std::move(e));
      return;
    }
    if (events_.size() >= limit_) {
      make_room();
      ++lost_unread_;
      ++lost_;
    }
    events_.push_back(std::move(e));
    assert(invariants_hold());
  }

  void read(std::uint64_t id, handler reader) {
    assert(reader);
    if (lost_unread_ > 0) {
      event_record r(event_kind::events_lost);
      r.outbound.last = std::exchange(lost_unread_, 0);
      reader({}, named_event(nullptr, r));
    } else if (!events_.empty()) {
      reader({}, std::move(events_.front()));
      events_.pop_front();
    } else if (closed_) {
      reader(error::shut_down, {});
    } else {
      readers_.emplace_back(id, std::move(reader));
    }
    assert(invariants_hold());
  }

  /// An event that was read and that nobody has is the next one again, beyond the limit if need be.
  void put_back(named_event e) {
    if (!readers_.empty()) return put(std::move(e));
    events_.push_front(std::move(e));
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    auto at = std::find_if(readers_.begin(), readers_.end(),
                           [id](const auto& entry) { return entry.first == id; });
    if (at == readers_.end()) return false;
    handler reader = std::move(at->second);
    readers_.erase(at);
    reader(reason, {});
    return true;
  }

  /// The events in the queue can still be read; then reading fails.
  void close(std::error_code reason) {
    closed_ = true;
    for (auto& [id, reader] : std::exchange(readers_, {})) reader(reason, {});
    assert(invariants_hold());
  }

  /// Destroys the readers.
  void abandon() { std::exchange(readers_, {}).clear(); }

  std::uint64_t lost() const noexcept { return lost_; }

 private:
  /// An event that a hostile peer or a failing handler can repeat at will goes before one that
  /// comes once.
  void make_room() {
    auto cheap = std::find_if(events_.begin(), events_.end(), [](const named_event& e) {
      return e.record.kind == event_kind::frame_rejected ||
             e.record.kind == event_kind::delivery_failed ||
             e.record.kind == event_kind::network_problem;
    });
    events_.erase(cheap != events_.end() ? cheap : events_.begin());
  }

  bool invariants_hold() const noexcept {
    return (events_.empty() || readers_.empty()) && (lost_unread_ == 0 || readers_.empty()) &&
           lost_unread_ <= lost_ && (!closed_ || readers_.empty());
  }

  std::size_t limit_;
  std::deque<named_event> events_;
  std::deque<std::pair<std::uint64_t, handler>> readers_;
  std::uint64_t lost_unread_ = 0;
  std::uint64_t lost_ = 0;
  bool closed_ = false;
};

}  // namespace ilm::inline v0::runtime
