#pragma once

#include <ilm/detail/completion.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <system_error>
#include <utility>

namespace ilm::runtime {

/// Events that nobody read yet, and readers for whom there is no event yet. When it is full the
/// oldest event goes, and the reader is told how many went.
template <class PeerId>
class event_queue {
 public:
  using handler = detail::completion<std::error_code, event<PeerId>>;

  explicit event_queue(std::size_t limit) : limit_(limit) {}

  void put(event<PeerId> e) {
    if (!readers_.empty()) {
      handler reader = std::move(readers_.front().second);
      readers_.pop_front();
      reader({}, std::move(e));
      return;
    }
    if (events_.size() == limit_) {
      make_room();
      ++lost_unread_;
      ++lost_;
    }
    events_.push_back(std::move(e));
  }

  void read(std::uint64_t id, handler reader) {
    if (lost_unread_ > 0) {
      event_record n(event_kind::events_lost);
      n.outbound.last = std::exchange(lost_unread_, 0);
      reader({}, event<PeerId>({}, n));
    } else if (!events_.empty()) {
      reader({}, std::move(events_.front()));
      events_.pop_front();
    } else if (closed_) {
      reader(error::shut_down, {});
    } else {
      readers_.emplace_back(id, std::move(reader));
    }
  }

  bool cancel(std::uint64_t id, std::error_code why) {
    for (auto at = readers_.begin(); at != readers_.end(); ++at) {
      if (at->first != id) continue;
      handler reader = std::move(at->second);
      readers_.erase(at);
      reader(why, {});
      return true;
    }
    return false;
  }

  /// What is in the queue can still be read; then reading fails.
  void close(std::error_code why) {
    closed_ = true;
    for (auto& [id, reader] : std::exchange(readers_, {})) reader(why, {});
  }

  /// Destroys those who wait.
  void abandon() { std::exchange(readers_, {}).clear(); }

  std::uint64_t lost() const noexcept { return lost_; }

 private:
  /// What a hostile peer or a failing handler can repeat at will goes before what is told once.
  void make_room() {
    auto cheap = std::find_if(events_.begin(), events_.end(), [](const event<PeerId>& e) {
      return e.kind == event_kind::frame_rejected || e.kind == event_kind::delivery_failed ||
             e.kind == event_kind::network_problem;
    });
    events_.erase(cheap != events_.end() ? cheap : events_.begin());
  }

  std::size_t limit_;
  std::deque<event<PeerId>> events_;
  std::deque<std::pair<std::uint64_t, handler>> readers_;
  std::uint64_t lost_unread_ = 0;
  std::uint64_t lost_ = 0;
  bool closed_ = false;
};

}  // namespace ilm::runtime
