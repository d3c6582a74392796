#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/execution/context.hpp>
#include <asio/execution_context.hpp>
#include <asio/query.hpp>

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// The context of an executor; null if it does not tell.
template <class Executor>
asio::execution_context* context_of(const Executor& e) {
  if constexpr (asio::can_query<const Executor&, asio::execution::context_t>::value) {
    return &asio::query(e, asio::execution::context);
  } else {
    return nullptr;
  }
}

/// Something that holds handlers of contexts, and may outlive these.
class context_listener {
 public:
  /// The context is about to be destroyed: no handler of it may be run, kept or destroyed later.
  virtual void handle_context_end(asio::execution_context& ending) noexcept = 0;

 protected:
  ~context_listener() = default;
};

/// Tells listeners of the end of a context.
class context_end final : public asio::execution_context::service {
 public:
  inline static asio::execution_context::id id;

  explicit context_end(asio::execution_context& c) : asio::execution_context::service(c) {}

  static void watch(asio::execution_context& c, std::weak_ptr<context_listener> listener) {
    auto& self = asio::use_service<context_end>(c);
    std::lock_guard lock(self.mutex_);
    std::erase_if(self.listeners_, [](const auto& l) { return l.expired(); });
    self.listeners_.push_back(std::move(listener));
  }

 private:
  void shutdown() override {
    std::vector<std::weak_ptr<context_listener>> all;
    {
      std::lock_guard lock(mutex_);
      all.swap(listeners_);
    }
    for (const auto& l : all) {
      if (auto alive = l.lock()) alive->handle_context_end(context());
    }
  }

  std::mutex mutex_;
  std::vector<std::weak_ptr<context_listener>> listeners_;
};

}  // namespace ilm::inline v0::detail
