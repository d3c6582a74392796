#pragma once

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
  /// A handler with its result.
  class item {
   public:
    /// Whether both have the same executor.
    virtual bool goes_with(const item& other) const noexcept = 0;
    /// Has the executor run `all`.
    virtual void post(const std::shared_ptr<completion_sweep>& all) = 0;
    /// Has the executor run this one. `self` holds it.
    virtual void post_alone(const std::shared_ptr<item>& self) = 0;
    /// `self` holds this.
    virtual void run(std::shared_ptr<item> self) = 0;

    // For goes_with.
    virtual const void* executor() const noexcept = 0;
    virtual const void* executor_type() const noexcept = 0;

   protected:
    ~item() = default;
  };

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
  void make_room(const item& one) {
    if (size_ == limit || (size_ > 0 && !one.goes_with(*items_[0]))) post();
  }
  void add(std::shared_ptr<item> one) noexcept {
    assert(one && size_ < limit);
    items_[size_++] = std::move(one);
  }

  /// Where it throws, all stay here.
  void post() {
    if (size_ > next_ + 1) return post_together();
    if (size_ == next_) return;
    items_[next_]->post_alone(items_[next_]);
    items_[next_] = nullptr;
    next_ = size_ = 0;
  }
  /// Destroys the handlers.
  void abandon() { [[maybe_unused]] completion_sweep gone(std::move(*this)); }

  /// Runs them. Those behind one that throws are posted anew.
  void operator()() {
    while (next_ < size_) {
      std::shared_ptr<item> one = std::move(items_[next_++]);
      item& handler = *one;
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
      all->items_[all->next_]->post(all);
    } catch (...) {
      *this = std::move(*all);
      throw;
    }
  }

  std::array<std::shared_ptr<item>, limit> items_;
  std::size_t next_ = 0;
  std::size_t size_ = 0;
};

}  // namespace ilm::inline v0::detail
