#pragma once

#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/event_backlog.hpp>
#include <ilm/runtime/event_repeats.hpp>
#include <ilm/runtime/event_states.hpp>
#include <ilm/runtime/named.hpp>
#include <ilm/runtime/operation_index.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// Tells events: to a watcher as they happen, and to readers one by one. Events that repeat, and
/// states that flap, are summed up; unread ones are kept within bounds, and the reader is told how
/// many went.
class event_queue {
 public:
  using handler = detail::completion<std::error_code, named_event>;
  using watcher = std::function<void(const named_event&)>;

  explicit event_queue(std::size_t limit) : backlog_(limit) {}

  void put(named_event e, protocol::timestamp now) {
    if (repeats_.handle_event(e, now) && states_.handle_event(e, now)) tell(std::move(e));
    assert(invariants_hold());
  }

  /// Tells the sums whose time has come.
  void handle_time(protocol::timestamp now) {
    while (std::optional<named_event> sum = repeats_.poll(now)) tell(std::move(*sum));
    while (std::optional<named_event> sum = states_.poll(now)) tell(std::move(*sum));
  }
  protocol::timestamp deadline() const noexcept {
    return std::min(repeats_.deadline(), states_.deadline());
  }

  /// `w` gets each event from now on. With it, events are kept for readers once there was one.
  void watch(watcher w) { watcher_ = std::move(w); }

  /// Takes the reader, unless it throws.
  void read(std::uint64_t id, handler& reader, protocol::timestamp now) {
    assert(reader);
    was_read_ = true;
    if (dropped_ > 0 && (backlog_.empty() || now >= next_report_)) {
      next_report_ = protocol::after(now, lost_events_interval);
      reader({}, take_report());
    } else if (!backlog_.empty()) {
      reader({}, backlog_.pop());
    } else if (closed_) {
      reader(closed_, {});
    } else {
      readers_.emplace_back(id, std::move(reader));
      places_.add(id, std::prev(readers_.end()));
    }
    assert(invariants_hold());
  }

  /// An event that was read and that nobody has is the next one of its rank again, beyond the limit
  /// if need be.
  void put_back(named_event e) {
    if (!readers_.empty()) {
      give(std::move(e));
    } else {
      backlog_.put_back(std::move(e));
    }
  }

  bool cancel(std::uint64_t id, std::error_code reason) {
    std::optional<reader_list::iterator> at = places_.take(id);
    if (!at) return false;
    handler reader = std::move((*at)->second);
    readers_.erase(*at);
    reader(reason, {});
    return true;
  }

  /// The events in the queue can still be read; then reading fails.
  void close(std::error_code reason) {
    assert(reason);
    try {
      while (std::optional<named_event> sum = repeats_.poll_last()) tell(std::move(*sum));
      while (std::optional<named_event> sum = states_.poll_last()) tell(std::move(*sum));
    } catch (...) {
      // Where there is no memory for the sums, the readers still have to hear of the end.
    }
    if (!closed_) closed_ = reason;
    watcher_ = nullptr;
    places_.clear();
    while (!readers_.empty()) {
      handler reader = std::move(readers_.front().second);
      readers_.pop_front();
      reader(reason, {});
    }
    assert(invariants_hold());
  }

  /// Destroys the readers, and the watcher.
  void abandon() {
    places_.clear();
    std::exchange(readers_, {}).clear();
    watcher_ = nullptr;
  }

  std::uint64_t lost() const noexcept { return lost_; }

 private:
  using reader_list = std::list<std::pair<std::uint64_t, handler>>;

  void tell(named_event e) {
    if (watcher_) {
      try {
        watcher_(e);
      } catch (...) {
        // A log that fails has nobody to tell; the messenger goes on.
      }
      if (!was_read_) return;
    }
    if (!readers_.empty()) return give(std::move(e));
    std::uint64_t dropped = backlog_.push(std::move(e));
    dropped_ += dropped;
    lost_ += dropped;
  }

  /// A reader that cannot be posted stays.
  void give(named_event e) {
    auto& [id, reader] = readers_.front();
    reader({}, std::move(e));
    places_.remove(id);
    readers_.pop_front();
  }

  named_event take_report() {
    event_record r(event_kind::events_lost);
    r.outbound.last = std::exchange(dropped_, 0);
    r.lost = backlog_.take_dropped();
    return {nullptr, std::move(r)};
  }

  bool invariants_hold() const noexcept {
    return (backlog_.empty() || readers_.empty()) && (dropped_ == 0 || readers_.empty()) &&
           dropped_ <= lost_ && (!closed_ || readers_.empty());
  }

  event_repeats repeats_;
  event_states states_;
  event_backlog backlog_;
  watcher watcher_;
  reader_list readers_;
  operation_index<reader_list::iterator> places_;
  protocol::timestamp next_report_ = protocol::timestamp::min();
  std::uint64_t dropped_ = 0;  ///< since the last report
  std::uint64_t lost_ = 0;
  bool was_read_ = false;
  std::error_code closed_;  ///< why no more come
};

}  // namespace ilm::inline v0::runtime
