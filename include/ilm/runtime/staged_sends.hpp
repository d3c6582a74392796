#pragma once

#include <ilm/detail/completion.hpp>
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

/// The sends that belong to one delivery: they go to the store with its consumption, or nowhere.
/// Its members may be called from any thread.
class staged_sends {
 public:
  using request = std::unique_ptr<send_request>;
  using consumed_handler = detail::completion<std::error_code>;

  staged_sends(std::weak_ptr<engine> of, std::size_t largest, unsigned attempt)
      : engine_(std::move(of)), maximum_message_(largest), attempt_(attempt) {
    assert(attempt_ > 0);
  }

  const std::weak_ptr<engine>& owner() const noexcept { return engine_; }
  std::size_t maximum_message() const noexcept { return maximum_message_; }
  unsigned attempt() const {
    std::lock_guard lock(mutex_);
    return attempt_;
  }

  /// Throws error::delivery_ended if the delivery, or this attempt, is over.
  void add(unsigned attempt, request r) {
    assert(r);
    std::lock_guard lock(mutex_);
    bool over = ended_ || attempt != attempt_ || engine_.expired();
    if (over) throw std::system_error(error::delivery_ended);
    requests_.push_back(std::move(r));
  }

  /// The message is given again, with nothing staged.
  void begin_again() {
    std::lock_guard lock(mutex_);
    requests_.clear();
    ++attempt_;
  }

  /// `done` is told when the store has the consumption, or why it will not.
  void notify(consumed_handler done) {
    std::lock_guard lock(mutex_);
    waiting_.push_back(std::move(done));
  }

  /// The delivery is over. Gives all that was staged.
  std::vector<request> end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    return std::exchange(requests_, {});
  }
  std::vector<consumed_handler> take_waiting() {
    std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }

 private:
  mutable std::mutex mutex_;
  std::weak_ptr<engine> engine_;  ///< a copy of a context may outlive it
  std::size_t maximum_message_;
  unsigned attempt_;
  std::vector<request> requests_;
  std::vector<consumed_handler> waiting_;
  bool ended_ = false;
};

}  // namespace ilm::inline v0::runtime
