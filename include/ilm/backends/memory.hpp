#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/memory/store.hpp>
#include <ilm/backends/memory/transaction.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/effects.hpp>
#include <ilm/error.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// A store in memory. Copies are handles to one store, which lives as long as any of them: keep one
/// and a new messenger goes on where the last one ended. One handle at a time has it open.
template <class PeerId>
class memory_backend {
 public:
  static constexpr durability durable_to = durability::process;
  using transaction = memory_transaction;

  memory_backend() : store_(detail::make_memory_store(detail::id_functions<PeerId>::type)) {}
  memory_backend(const memory_backend& other) : store_(other.store_) {}
  memory_backend(memory_backend&& other) noexcept
      : store_(other.store_), open_(std::exchange(other.open_, false)) {}
  memory_backend& operator=(memory_backend other) noexcept {
    std::swap(store_, other.store_);
    std::swap(open_, other.open_);
    return *this;
  }
  ~memory_backend() { release(); }

  /// A store of its own with the same content: a backup, as it is now.
  memory_backend copy() const {
    memory_backend other;
    other.store_ = store_->copy();
    return other;
  }

  /// The values that effects have stored, as it is now.
  memory_transaction::values values() const {
    auto lock = store_->lock();
    return store_->values();
  }

  /// How many messages the store holds, over all peers.
  std::size_t size(queue which) const {
    auto lock = store_->lock();
    return store_->size(which);
  }

  asio::awaitable<store_state<PeerId>> open() {
    auto lock = store_->lock();
    store_state<PeerId> state;
    detail::memory_store::contents all = store_->list();
    state.local = all.local;
    if (all.local_id != nullptr) state.local_id = *static_cast<const PeerId*>(all.local_id);
    state.peers.reserve(all.peers.size());
    for (const auto& [peer, c] : all.peers) {
      state.peers.emplace_back(*static_cast<const PeerId*>(peer), c);
    }
    if (!store_->acquire()) throw std::system_error(error::store_in_use);
    open_ = true;
    co_return state;
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) {
    require_open();
    auto lock = store_->lock();
    apply(change);
    co_return;
  }

  /// The effects must not use the store itself.
  asio::awaitable<void> commit(const batch<PeerId>& change, effects<transaction>& with) {
    require_open();
    auto lock = store_->lock();
    transaction t(store_->values());
    try {
      with.apply(t, t);
      apply(change);
    } catch (...) {
      t.roll_back_all();
      throw;
    }
    co_return;
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    require_open();
    auto lock = store_->lock();
    co_return store_->read(which, &peer, from, limit);
  }

  asio::awaitable<void> close() {
    release();
    co_return;
  }

 private:
  void apply(const batch<PeerId>& change) {
    detail::memory_batch all;
    if (change.new_local_id) all.local_id = &*change.new_local_id;
    if (change.new_incarnation) all.local = &*change.new_incarnation;
    for (const peer_change<PeerId>& c : change.changes) {
      all.changes.emplace_back(&c.peer, c.next, c.outbox, c.inbox);
    }
    for (const PeerId& peer : change.forgotten) all.forgotten.push_back(&peer);
    store_->apply(all);
  }

  void require_open() const {
    if (!open_) throw std::system_error(error::store_closed);
  }

  void release() noexcept {
    if (!std::exchange(open_, false)) return;
    auto lock = store_->lock();
    store_->release();
  }

  std::shared_ptr<detail::memory_store> store_;
  bool open_ = false;
};

ILM_INSTANCE(class memory_backend<std::string>);

}  // namespace ilm::inline v0
