#pragma once

#include <ilm/detail/completion.hpp>
#include <ilm/effects.hpp>
#include <ilm/error.hpp>
#include <ilm/runtime/requests.hpp>

#include <cassert>
#include <cstddef>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

class engine;

/// The sends and effects that belong to one delivery: they go to the store with its consumption, or
/// nowhere. Its members may be called from any thread.
class staged_sends {
 public:
  using request = std::unique_ptr<send_request>;
  using consumed_handler = detail::completion<std::error_code>;
  using effect = std::unique_ptr<detail::effect>;

  /// `transaction`: the tag of those that the store lends; null for none.
  staged_sends(std::weak_ptr<engine> of, std::size_t largest, unsigned attempt,
               const void* transaction = nullptr)
      : engine_(std::move(of)),
        maximum_message_(largest),
        transaction_(transaction),
        attempt_(attempt) {
    assert(attempt_ > 0);
  }

  const std::weak_ptr<engine>& owner() const noexcept { return engine_; }
  std::size_t maximum_message() const noexcept { return maximum_message_; }
  unsigned attempt() const {
    std::lock_guard lock(mutex_);
    return attempt_;
  }

  const void* transaction() const noexcept { return transaction_; }

  // They throw error::delivery_ended if the delivery, or this attempt, is over.

  void add(unsigned attempt, request r) {
    assert(r);
    std::lock_guard lock(mutex_);
    require(attempt);
    requests_.push_back(std::move(r));
  }
  void add(unsigned attempt, effect e) {
    assert(e);
    std::lock_guard lock(mutex_);
    require(attempt);
    effects_.push_back(std::move(e));
  }

  /// The message is given again, with nothing staged.
  void begin_again() {
    std::lock_guard lock(mutex_);
    requests_.clear();
    effects_.clear();
    ++attempt_;
  }

  /// `done` is told when the store has the consumption, or why it will not.
  void notify(consumed_handler done) {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(done));
  }

  /// The delivery is over. Gives all sends that were staged.
  std::vector<request> end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    return std::exchange(requests_, {});
  }
  std::vector<effect> take_effects() {
    std::lock_guard lock(mutex_);
    return std::exchange(effects_, {});
  }
  std::vector<consumed_handler> take_waiting() {
    std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

 private:
  void require(unsigned attempt) const {
    bool over = ended_ || attempt != attempt_ || engine_.expired();
    if (over) throw std::system_error(error::delivery_ended);
  }

  mutable std::mutex mutex_;
  std::weak_ptr<engine> engine_;  ///< a copy of a context may outlive it
  std::size_t maximum_message_;
  const void* transaction_;
  unsigned attempt_;
  std::vector<request> requests_;
  std::vector<effect> effects_;
  std::vector<consumed_handler> waiting_;
  bool ended_ = false;
};

}  // namespace ilm::inline v0::runtime
