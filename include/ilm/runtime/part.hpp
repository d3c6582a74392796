#pragma once

#include <cassert>
#include <memory>
#include <utility>

namespace ilm::inline v0::runtime {

/// A part of the messenger, and the count of its uses. After `release` it is destroyed with the
/// last use, so that its store or its place in the network is free for a successor.
template <class Port>
class part {
 public:
  explicit part(std::unique_ptr<Port> port) : port_(std::move(port)) { assert(port_); }
  part(const part&) = delete;
  part& operator=(const part&) = delete;

  class use {
   public:
    explicit use(part& owner) : owner_(&owner) {
      assert(owner.port_);
      ++owner.users_;
    }
    use(use&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    use& operator=(use&&) = delete;
    ~use() {
      if (!owner_) return;
      assert(owner_->users_ > 0);
      --owner_->users_;
      owner_->destroy_unused();
    }

    Port* operator->() const noexcept { return owner_->port_.get(); }
    Port& operator*() const noexcept { return *owner_->port_; }

   private:
    part* owner_;
  };

  void release() {
    released_ = true;
    destroy_unused();
  }
  /// Destroys it even where it is in use: no use will ever go on.
  void abandon() { port_.reset(); }

 private:
  void destroy_unused() {
    if (released_ && users_ == 0) port_.reset();
  }

  std::unique_ptr<Port> port_;
  unsigned users_ = 0;
  bool released_ = false;
};

}  // namespace ilm::inline v0::runtime
