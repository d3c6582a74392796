#pragma once

#include <ilm/backend.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

namespace detail {

/// A change that a delivery adds to a transaction of the store, without the transaction's type.
class effect {
 public:
  effect() = default;
  effect(const effect&) = delete;
  effect& operator=(const effect&) = delete;
  virtual ~effect() = default;

  /// Called again where the store did not take the transaction.
  virtual void apply(void* transaction) = 0;
};

template <class Transaction, class Function>
class effect_of final : public effect {
 public:
  explicit effect_of(Function f) : function_(std::move(f)) {}

  void apply(void* transaction) override { function_(*static_cast<Transaction*>(transaction)); }

 private:
  Function function_;
};

/// Its address names a type of transactions.
template <class Transaction>
inline char transaction_tag = 0;

/// The effects of one commit, in the order in which they are applied, and how they ended.
class effect_list {
 public:
  struct entry {
    effect* what;
    const void* stream;   ///< one stream's effects have their order
    std::uint64_t index;  ///< of the message in the stream
    std::exception_ptr failed;
  };

  void add(effect& what, const void* stream, std::uint64_t index) {
    entries_.push_back(entry{&what, stream, index, nullptr});
  }
  /// Whether each effect is to be undone by itself where it fails, so that all that fail are found.
  void set_isolated(bool isolated) noexcept { isolated_ = isolated; }
  bool isolated() const noexcept { return isolated_; }
  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  std::vector<entry>& entries() noexcept { return entries_; }
  bool failed() const noexcept {
    return std::any_of(entries_.begin(), entries_.end(),
                       [](const entry& e) { return e.failed != nullptr; });
  }
  void clear() noexcept { entries_.clear(); }

 private:
  std::vector<entry> entries_;
  bool isolated_ = false;
};

}  // namespace detail

/// The effects that deliveries add to one commit: see `transactional_backend`.
template <class Transaction>
class effects {
 public:
  explicit effects(detail::effect_list& all) noexcept : all_(all) { assert(!all.empty()); }

  std::size_t size() const noexcept { return all_.size(); }
  /// Without their type.
  detail::effect_list& untyped() const noexcept { return all_; }

  /// Whether an effect that fails is to be undone by itself. If not, a guard need not do anything,
  /// for the first failure ends the transaction.
  bool isolated() const noexcept { return all_.isolated(); }

  /// Applies them to the transaction, in their order. Before each it calls `guard.set()`; after it
  /// `guard.release()`, or `guard.roll_back()` if it threw. Throws error::effect_failed if one
  /// threw, whereupon the backend has to roll the transaction back and its `commit` to throw: the
  /// messenger knows which ones, and commits again without them. So it does where `release` throws.
  template <class Guard>
  void apply(Transaction& transaction, Guard&& guard) {
    bool failed = false;
    std::vector<const void*> stopped;
    for (detail::effect_list::entry& e : all_.entries()) {
      e.failed = nullptr;
      // None overtakes one of its stream that failed.
      if (std::find(stopped.begin(), stopped.end(), e.stream) != stopped.end()) continue;
      guard.set();
      try {
        e.what->apply(&transaction);
        guard.release();
      } catch (...) {
        e.failed = std::current_exception();
      }
      if (!e.failed) continue;
      failed = true;
      if (!isolated()) break;
      guard.roll_back();
      stopped.push_back(e.stream);
    }
    if (failed) throw std::system_error(error::effect_failed);
  }

 private:
  detail::effect_list& all_;
};

/// A backend that lends its transaction to deliveries, so that the application's own data is stored
/// with the consumption of a message (delivery_context::apply).
///
/// | expression                 | result                                             |
/// |----------------------------|----------------------------------------------------|
/// | `B::transaction`           | the type that an effect gets, by reference         |
/// | `b.commit(batch, effects)` | `awaitable<void>`; `effects<B::transaction>&`      |
/// | `b.lends_transactions()`   | `bool`, optional: false if this backend lends none |
///
/// `commit` with effects: as `commit`, and `effects.apply` is called once, within the transaction
/// that stores the batch; on a thread of the store's, if need be. The effects are durable with the
/// batch, or not at all: if one fails, or anything else does, `commit` throws and nothing of either
/// is stored, now or later. Nobody else sees them before. A batch without effects is committed as
/// ever.
template <class B, class PeerId>
concept transactional_backend = backend<B, PeerId> &&
    requires(B b, const batch<PeerId>& change, effects<typename B::transaction>& e) {
  { b.commit(change, e) } -> std::same_as<asio::awaitable<void>>;
};

namespace detail {

/// The tag of the transactions that a backend lends; null if it lends none.
template <class B, class PeerId>
constexpr const void* transaction_of() noexcept {
  if constexpr (transactional_backend<B, PeerId>) {
    return &transaction_tag<typename B::transaction>;
  } else {
    return nullptr;
  }
}

}  // namespace detail

}  // namespace ilm::inline v0
