#pragma once

#include <ilm/protocol/time.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

namespace ilm::inline v0::protocol {

/// The frames with data that were sent in a session, by their numbers: when each was sent, and
/// which one the peer echoed last. It remembers no more than `most` moments.
class frame_log {
 public:
  explicit frame_log(std::size_t most) : most_(most) { assert(most > 0); }

  void handle_session() noexcept {
    sent_at_.clear();
    last_ = echoed_ = 0;
  }
  /// Numbers a frame that is sent now.
  std::uint64_t handle_sent(timestamp now) {
    if (sent_at_.size() == most_) sent_at_.pop_front();
    sent_at_.push_back(now);
    return ++last_;
  }
  /// When the frame was sent, if its echo is news and its moment is remembered.
  std::optional<timestamp> handle_echo(std::uint64_t frame) noexcept {
    assert(frame <= last_);
    if (frame <= echoed_) return std::nullopt;
    echoed_ = frame;
    std::optional<timestamp> found;
    while (sent_at_.size() > last_ - frame) {
      found = sent_at_.front();
      sent_at_.pop_front();
    }
    return found;
  }

  std::uint64_t last() const noexcept { return last_; }
  /// The highest number echoed; 0 for none.
  std::uint64_t echoed() const noexcept { return echoed_; }

  bool invariants_hold() const noexcept {
    return echoed_ <= last_ && sent_at_.size() <= last_ - echoed_ && sent_at_.size() <= most_;
  }

 private:
  std::size_t most_;
  std::deque<timestamp> sent_at_;  ///< of the frames up to `last_`
  std::uint64_t last_ = 0;
  std::uint64_t echoed_ = 0;
};

}  // namespace ilm::protocol
