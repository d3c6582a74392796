#pragma once

#include <ilm/detail/asio.hpp>

#include <cassert>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// Brings values of any thread to a strand: before it runs, while it does, and after it is gone,
/// when they are dropped. It may outlive the strand's context.
template <class T>
class strand_queue {
 public:
  /// Has `available` called on `executor` when the queue is no longer empty. Values from before
  /// are not announced.
  void open(asio::any_io_executor executor, std::function<void()> available) {
    std::lock_guard lock(mutex_);
    assert(available && !executor_);
    if (closed_) return;
    executor_ = std::move(executor);
    available_ = std::move(available);
    assert(invariants_hold());
  }

  /// May throw where there is no memory; then the value is not in.
  void push(T value) {
    std::lock_guard lock(mutex_);
    assert(invariants_hold());
    if (closed_) return;
    values_.push_back(std::move(value));
    try {
      if (executor_ && values_.size() == 1) asio::post(*executor_, available_);
    } catch (...) {
      values_.pop_back();  // nobody would come for it
      throw;
    }
  }

  std::vector<T> take() {
    std::lock_guard lock(mutex_);
    return std::exchange(values_, {});
  }

  /// The executor is not touched from here on: its context may be about to go.
  void close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    executor_.reset();
    available_ = {};
    values_.clear();
    assert(invariants_hold());
  }

 private:
  bool invariants_hold() const noexcept {
    return executor_.has_value() == static_cast<bool>(available_) &&
           (!closed_ || (values_.empty() && !executor_));
  }

  std::mutex mutex_;
  std::vector<T> values_;
  std::optional<asio::any_io_executor> executor_;
  std::function<void()> available_;
  bool closed_ = false;
};

/// A queue that is open, held by a coroutine: where a context is destroyed before the network,
/// the frame goes, and nothing may be posted from then on.
template <class T>
class open_strand_queue {
 public:
  open_strand_queue(std::shared_ptr<strand_queue<T>> m, const asio::any_io_executor& executor,
                    std::function<void()> available)
      : queue_(std::move(m)) {
    queue_->open(executor, std::move(available));
  }
  open_strand_queue(const open_strand_queue&) = delete;
  open_strand_queue& operator=(const open_strand_queue&) = delete;
  ~open_strand_queue() { queue_->close(); }

 private:
  std::shared_ptr<strand_queue<T>> queue_;
};

}  // namespace ilm::inline v0::detail::tcp
