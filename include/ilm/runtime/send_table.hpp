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

  /// A place for a send, which its core gets first: that may refuse it, or throw.
  class place {
   public:
    explicit place(send_table& t) : table_(t) { table_.sends_.emplace_back(); }
    place(const place&) = delete;
    place& operator=(const place&) = delete;
    ~place() {
      if (!filled_) table_.sends_.pop_back();
    }

    protocol::send_id id() const noexcept {
      return protocol::send_id{table_.first_ + table_.sends_.size() - 1};
    }
    void fill(request r) noexcept {
      assert(r && !filled_);
      table_.sends_.back() = std::move(r);
      ++table_.count_;
      filled_ = true;
      assert(table_.invariants_hold());
    }

   private:
    send_table& table_;
    bool filled_ = false;
  };

  send_request& at(protocol::send_id id) noexcept { return *sends_[place_of(id)]; }
  request take(protocol::send_id id) {
    request r = std::move(sends_[place_of(id)]);
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
    while (!sends_.empty()) {
      request r = std::move(sends_.front());
      sends_.pop_front();
      ++first_;
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
  std::size_t place_of(protocol::send_id id) const noexcept {
    std::size_t at = static_cast<std::size_t>(static_cast<std::uint64_t>(id) - first_);
    assert(at < sends_.size() && sends_[at]);
    return at;
  }

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
