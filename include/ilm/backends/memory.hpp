#pragma once

#include <ilm/backend.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

/// A store in memory. Copies are handles to one store, which lives as long as any of them: keep one
/// and a new messenger goes on where the last one ended. One handle at a time has it open.
template <class PeerId>
class memory_backend {
 public:
  static constexpr durability durable_to = durability::process;

  memory_backend() : store_(std::make_shared<store>()) {}
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
    std::lock_guard lock(store_->mutex);
    other.store_->local = store_->local;
    other.store_->shelves = store_->shelves;
    return other;
  }

  /// How many messages the store holds, over all peers.
  std::size_t size(box which) const {
    std::lock_guard lock(store_->mutex);
    std::size_t sum = 0;
    for (const auto& [peer, s] : store_->shelves) sum += s.of(which).size();
    return sum;
  }

  asio::awaitable<store_state<PeerId>> open() {
    std::lock_guard lock(store_->mutex);
    if (store_->in_use) throw std::system_error(error::store_in_use);
    store_->in_use = open_ = true;
    store_state<PeerId> state;
    state.local = store_->local;
    for (const auto& [peer, s] : store_->shelves) state.peers.emplace_back(peer, s.where);
    co_return state;
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) {
    require_open();
    std::lock_guard lock(store_->mutex);
    if (change.minted) store_->local = *change.minted;
    for (const peer_change<PeerId>& c : change.changes) {
      shelf& s = store_->shelves[c.peer];
      s.outbox.insert(s.outbox.end(), c.outbox.begin(), c.outbox.end());
      s.inbox.insert(s.inbox.end(), c.inbox.begin(), c.inbox.end());
      erase_below(s.outbox, c.next.outbox_first);
      erase_below(s.inbox, c.next.inbox_first);
      s.where = c.next;
    }
    co_return;
  }

  asio::awaitable<std::vector<stored_message>> read(box which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    require_open();
    std::lock_guard lock(store_->mutex);
    std::vector<stored_message> page;
    auto at = store_->shelves.find(peer);
    if (at == store_->shelves.end()) co_return page;
    const std::deque<stored_message>& messages = at->second.of(which);
    auto next =
        std::lower_bound(messages.begin(), messages.end(), from,
                         [](const stored_message& m, std::uint64_t i) { return m.index < i; });
    if (next == messages.end() || next->index != from) co_return page;
    std::size_t size = 0;
    for (; next != messages.end() && page.size() < limit.messages; ++next) {
      size += next->contents.size();
      if (size > limit.bytes && !page.empty()) break;
      page.push_back(*next);
    }
    co_return page;
  }

  asio::awaitable<void> close() {
    release();
    co_return;
  }

 private:
  struct shelf {
    const std::deque<stored_message>& of(box which) const {
      return which == box::outbox ? outbox : inbox;
    }

    cursors where;
    std::deque<stored_message> outbox;
    std::deque<stored_message> inbox;
  };
  struct store {
    std::mutex mutex;
    incarnation local;
    std::map<PeerId, shelf> shelves;
    bool in_use = false;
  };

  static void erase_below(std::deque<stored_message>& messages, std::uint64_t first) {
    while (!messages.empty() && messages.front().index < first) messages.pop_front();
  }

  void require_open() const {
    if (!open_) throw std::system_error(error::store_closed);
  }

  void release() noexcept {
    if (!std::exchange(open_, false)) return;
    std::lock_guard lock(store_->mutex);
    store_->in_use = false;
  }

  std::shared_ptr<store> store_;
  bool open_ = false;
};

}  // namespace ilm
