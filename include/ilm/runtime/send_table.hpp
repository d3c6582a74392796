#pragma once

#include <ilm/protocol/store_change.hpp>
#include <ilm/runtime/requests.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <system_error>
#include <utility>

namespace ilm::inline v0::runtime {

/// The sends that a core has, by the id under which it got them. A batch ends those that began
/// together, so few ids lie between the oldest and the newest.
class send_table {
 public:
  using request = std::unique_ptr<send_request>;

  protocol::send_id next_id() const noexcept { return protocol::send_id{first_ + sends_.size()}; }

  /// The send of `next_id()`.
  void add(request r) {
    assert(r);
    sends_.push_back(std::move(r));
    ++count_;
    assert(invariants_hold());
  }

  request take(protocol::send_id id) {
    std::size_t at = static_cast<std::size_t>(static_cast<std::uint64_t>(id) - first_);
    assert(at < sends_.size() && sends_[at]);
    request r = std::move(sends_[at]);
    --count_;
    while (!sends_.empty() && !sends_.front()) {
      sends_.pop_front();
      ++first_;
    }
    assert(invariants_hold());
    return r;
  }

  void fail_all(std::error_code reason) {
    count_ = 0;
    for (request& r : std::exchange(sends_, {})) {
      if (r) r->end(reason, 0);
    }
  }
  /// Destroys the callers that wait.
  void abandon() {
    count_ = 0;
    std::exchange(sends_, {}).clear();
  }

  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }

 private:
  /// The oldest send is open, or there is none.
  bool invariants_hold() const noexcept {
    if (sends_.empty()) return count_ == 0;
    return sends_.front() && count_ > 0 && count_ <= sends_.size();
  }

  std::deque<request> sends_;
  std::uint64_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace ilm::inline v0::runtime
