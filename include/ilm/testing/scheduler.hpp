#pragma once

#include <ilm/detail/asio.hpp>

#include <asio/execution/blocking.hpp>
#include <asio/execution/context.hpp>
#include <asio/execution/mapping.hpp>
#include <asio/execution/outstanding_work.hpp>
#include <asio/execution/relationship.hpp>
#include <asio/execution_context.hpp>

#include <cstddef>
#include <new>
#include <type_traits>
#include <utility>

namespace ilm::inline v0::testing {

/// An execution context for simulations: runs posted handlers first in, first out, in the thread
/// that calls `poll`; only that thread may post. It has no reactor, no locks and no clock of its
/// own, so that the same program runs the same way each time; timers belong to simulated_clock, and
/// its `run_until` and `run_for` take a scheduler.
///
/// ~~~
/// ilm::testing::scheduler scheduler;
/// ilm::messenger alice(scheduler, store, network, handler);
/// ilm::testing::simulated_clock::run_for(scheduler, 10s);
/// ~~~
///
/// examples/simulate.cpp tries a handler against crashes in this way. A network or a store of one's
/// own takes the place of simulated_network or simulated_store, as long as it waits with
/// simulated_timer; its `clock_type`, if it is a network, makes the messenger do so too.
///
/// Handlers still queued when it is destroyed are destroyed unrun, as with asio::io_context.
class scheduler : public asio::execution_context {
 public:
  class executor_type;

  scheduler() = default;
  ~scheduler() {
    shutdown();
    // The destructor of a handler may post again.
    while (operation* next = pop()) next->act(*this, next, false);
    while (spare_ != nullptr) ::operator delete(std::exchange(spare_, spare_->next));
  }

  executor_type get_executor() noexcept;

  /// Runs one handler; the number run, 0 or 1.
  std::size_t poll_one() {
    operation* next = pop();
    if (next == nullptr) return 0;
    next->act(*this, next, true);
    return 1;
  }
  /// Runs handlers until none is left; the number run.
  std::size_t poll() {
    std::size_t count = 0;
    while (poll_one() != 0) ++count;
    return count;
  }
  /// Has no effect: a scheduler never stops. Lets code drive a scheduler as it drives an
  /// asio::io_context.
  void restart() noexcept {}

 private:
  struct operation {
    operation* next;
    /// Runs and destroys it, or only destroys it.
    void (*act)(scheduler&, operation*, bool run);
  };
  struct block {
    block* next;
  };

  /// Most handlers are small and short-lived: their memory is reused.
  static constexpr std::size_t block_size = 128;

  template <class Function>
  struct operation_of : operation {
    explicit operation_of(Function&& f) : operation{nullptr, &run}, function(std::move(f)) {}

    static void run(scheduler& s, operation* base, bool wanted) {
      auto* self = static_cast<operation_of*>(base);
      Function function(std::move(self->function));
      self->~operation_of();
      s.free(self, sizeof(operation_of));
      if (wanted) std::move(function)();
    }

    Function function;
  };

  template <class Function>
  void push(Function&& f) {
    using made = operation_of<std::decay_t<Function>>;
    static_assert(alignof(made) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);
    operation* op = new (allocate(sizeof(made))) made(std::forward<Function>(f));
    (last_ != nullptr ? last_->next : first_) = op;
    last_ = op;
  }

  operation* pop() noexcept {
    operation* next = first_;
    if (next == nullptr) return nullptr;
    first_ = next->next;
    if (first_ == nullptr) last_ = nullptr;
    return next;
  }

  void* allocate(std::size_t size) {
    if (size > block_size) return ::operator new(size);
    if (spare_ == nullptr) return ::operator new(block_size);
    return std::exchange(spare_, spare_->next);
  }
  void free(void* memory, std::size_t size) noexcept {
    if (size > block_size) return ::operator delete(memory);
    spare_ = new (memory) block{spare_};
  }

  operation* first_ = nullptr;
  operation* last_ = nullptr;
  block* spare_ = nullptr;
};

/// The executor of a scheduler: never runs anything inside `execute`, and fits any_io_executor.
class scheduler::executor_type {
 public:
  explicit executor_type(scheduler& s) noexcept : context_(&s) {}

  scheduler& query(asio::execution::context_t) const noexcept { return *context_; }
  static constexpr asio::execution::blocking_t query(asio::execution::blocking_t) noexcept {
    return asio::execution::blocking.never;
  }
  static constexpr asio::execution::relationship_t query(asio::execution::relationship_t) noexcept {
    return asio::execution::relationship.fork;
  }
  static constexpr asio::execution::outstanding_work_t query(
      asio::execution::outstanding_work_t) noexcept {
    return asio::execution::outstanding_work.untracked;
  }
  static constexpr asio::execution::mapping_t query(asio::execution::mapping_t) noexcept {
    return asio::execution::mapping.thread;
  }
  /// Always so. Other properties are not supported: there is no work to track, and nothing blocks.
  executor_type require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
  executor_type require(asio::execution::outstanding_work_t::untracked_t) const noexcept {
    return *this;
  }

  template <class Function>
  void execute(Function f) const {
    context_->push(std::move(f));
  }

  friend bool operator==(const executor_type& a, const executor_type& b) noexcept {
    return a.context_ == b.context_;
  }
  friend bool operator!=(const executor_type& a, const executor_type& b) noexcept {
    return !(a == b);
  }

 private:
  scheduler* context_;
};

inline scheduler::executor_type scheduler::get_executor() noexcept { return executor_type(*this); }

}  // namespace ilm::inline v0::testing
