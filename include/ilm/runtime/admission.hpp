#pragma once

#include <ilm/options.hpp>
#include <ilm/runtime/peer.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <system_error>
#include <utility>

namespace ilm::runtime {

/// Bounds what waits for the store: a send beyond the bound queues here, in order of arrival.
template <class PeerId>
class admission {
 public:
  using operation = std::unique_ptr<send_operation<PeerId>>;

  explicit admission(const options& o) : options_(o) {}

  /// Whether an operation may go on now; nothing overtakes what waits.
  bool has_room(const operation& op) const noexcept {
    return waiting_.empty() && fits(op->contents.size());
  }
  void wait(operation op) { waiting_.push_back(std::move(op)); }

  /// The next operation that waited and may go on now; null if none may.
  operation poll() {
    if (waiting_.empty() || !fits(waiting_.front()->contents.size())) return nullptr;
    operation op = std::move(waiting_.front());
    waiting_.pop_front();
    return op;
  }

  void entered(std::size_t bytes) noexcept {
    ++messages_;
    bytes_ += bytes;
  }
  void left(std::size_t bytes) noexcept {
    --messages_;
    bytes_ -= bytes;
  }

  bool cancel(std::uint64_t id, std::error_code why) {
    auto at = std::find_if(waiting_.begin(), waiting_.end(),
                           [id](const operation& op) { return op->id == id; });
    if (at == waiting_.end()) return false;
    operation op = std::move(*at);
    waiting_.erase(at);
    op->done(why, 0);
    return true;
  }
  void fail_all(std::error_code why) {
    for (operation& op : std::exchange(waiting_, {})) op->done(why, 0);
  }

  /// Destroys those who wait.
  void abandon() { std::exchange(waiting_, {}).clear(); }

  std::size_t messages() const noexcept { return messages_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  bool fits(std::size_t bytes) const noexcept {
    return messages_ < options_.uncommitted_messages &&
           bytes_ + bytes <= options_.uncommitted_bytes;
  }

  const options& options_;
  std::deque<operation> waiting_;
  std::size_t messages_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace ilm::runtime
