#pragma once

#include <ilm/detail/waiting_handler.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <memory>
#include <utility>

namespace ilm::inline v0::detail {

/// Handlers that have their results, and run one after another in one turn of their executor: to
/// post each by itself costs more than most of them do.
class completion_sweep {
 public:
  /// Where several threads run the executor, a handler that blocks delays as many others.
  static constexpr std::size_t limit = 16;

  completion_sweep() = default;
  completion_sweep(completion_sweep&& other) noexcept
      : items_(std::move(other.items_)),
        next_(std::exchange(other.next_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  completion_sweep& operator=(completion_sweep&& other) noexcept {
    items_.swap(other.items_);
    std::swap(next_, other.next_);
    std::swap(size_, other.size_);
    return *this;
  }

  /// Posts those that are there, if `one` cannot join them.
  void make_room(const waiting_handler& one) {
    if (size_ == limit || (size_ > 0 && !one.goes_with(*items_[0]))) post();
  }
  void add(std::shared_ptr<waiting_handler> one) noexcept {
    assert(one && size_ < limit);
    items_[size_++] = std::move(one);
  }

  /// Where it throws, all stay here.
  void post() {
    if (size_ > next_ + 1) return post_together();
    if (size_ == next_) return;
    detail::post(items_[next_]);
    items_[next_] = nullptr;
    next_ = size_ = 0;
  }
  /// Destroys the handlers.
  void abandon() { [[maybe_unused]] completion_sweep gone(std::move(*this)); }

  /// Runs them. Those behind one that throws are posted anew.
  void operator()() {
    while (next_ < size_) {
      std::shared_ptr<waiting_handler> one = std::move(items_[next_++]);
      waiting_handler& handler = *one;
      try {
        handler.run(std::move(one));
      } catch (...) {
        post();
        throw;
      }
    }
  }

 private:
  /// A handler that an executor has no memory for is destroyed: it gets a pointer alone.
  void post_together() {
    auto all = std::make_shared<completion_sweep>(std::move(*this));
    try {
      // Another thread may run them, and destroy their executors, before `execute` returns.
      asio::any_io_executor executor = all->items_[all->next_]->executor();
      executor.execute([all] { (*all)(); });
    } catch (...) {
      *this = std::move(*all);
      throw;
    }
  }

  std::array<std::shared_ptr<waiting_handler>, limit> items_;
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

}  // namespace ilm::inline v0::detail
