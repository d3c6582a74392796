#pragma once

#include <ilm/backends/memory/store.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// The record of a memory_store for one peer.
struct memory_record {
  const std::deque<stored_message>& messages(queue which) const {
    return which == queue::outbox ? outbox : inbox;
  }

  cursors current;
  std::deque<stored_message> outbox;
  std::deque<stored_message> inbox;
};

class memory_records final : public memory_store {
 public:
  explicit memory_records(const id_type& ids) : ids_(ids), records_(id_less(ids)) {}

  std::shared_ptr<memory_store> copy() const override {
    auto copied = std::make_shared<memory_records>(ids_);
    std::lock_guard lock(mutex_);
    copied->local_ = local_;
    copied->local_id_ = local_id_;
    copied->records_ = records_;
    copied->values_ = values_;
    return copied;
  }

  std::unique_lock<std::mutex> lock() override { return std::unique_lock(mutex_); }

  bool acquire() override { return !std::exchange(in_use_, true); }
  void release() noexcept override { in_use_ = false; }

  contents list() const override {
    contents all;
    all.local = local_;
    all.local_id = local_id_.get();
    all.peers.reserve(records_.size());
    for (const auto& [peer, r] : records_) all.peers.emplace_back(peer.get(), r.current);
    return all;
  }

  std::size_t size(queue which) const override {
    std::size_t sum = 0;
    for (const auto& [peer, r] : records_) sum += r.messages(which).size();
    return sum;
  }

  memory_transaction::values& values() noexcept override { return values_; }

  void apply(const memory_batch& change) override {
    std::shared_ptr<const void> id = local_id_;
    if (change.local_id != nullptr) id = ids_.copy(change.local_id);
    std::vector<extended> done;
    std::vector<id_map<memory_record>::iterator> forgotten;
    done.reserve(change.changes.size());
    forgotten.reserve(change.forgotten.size());
    try {
      for (const memory_batch::entry& c : change.changes) extend(done, c);
      for (const void* peer : change.forgotten) forgotten.push_back(records_.find(peer));
    } catch (...) {
      for (auto e = done.rbegin(); e != done.rend(); ++e) undo(*e);
      throw;
    }
    // From here on nothing throws.
    for (std::size_t i = 0; i < done.size(); ++i) {
      memory_record& r = done[i].at->second;
      r.current = change.changes[i].next;
      erase_below(r.outbox, r.current.outbox.first);
      erase_below(r.inbox, r.current.inbox.first);
    }
    for (auto at : forgotten) {
      if (at != records_.end()) records_.erase(at);
    }
    local_id_ = std::move(id);
    if (change.local != nullptr) local_ = *change.local;
  }

  std::vector<stored_message> read(queue which, const void* peer, std::uint64_t from,
                                   page_limit limit) const override {
    std::vector<stored_message> page;
    auto at = records_.find(peer);
    if (at == records_.end()) return page;
    const std::deque<stored_message>& messages = at->second.messages(which);
    auto next =
        std::lower_bound(messages.begin(), messages.end(), from,
                         [](const stored_message& m, std::uint64_t i) { return m.index < i; });
    if (next == messages.end() || next->index != from) return page;
    std::size_t size = 0;
    for (; next != messages.end() && page.size() < limit.messages; ++next) {
      size += next->size();
      if (size > limit.bytes && !page.empty()) break;
      page.push_back(*next);
    }
    return page;
  }

 private:
  /// A record to which a batch adds messages, as it was before.
  struct extended {
    id_map<memory_record>::iterator at;
    bool added;
    std::size_t outbox;
    std::size_t inbox;
  };

  void extend(std::vector<extended>& done, const memory_batch::entry& c) {
    auto at = records_.find(c.peer);
    bool added = at == records_.end();
    if (added) at = records_.emplace(ids_.copy(c.peer), memory_record()).first;
    memory_record& r = at->second;
    done.push_back(extended{at, added, r.outbox.size(), r.inbox.size()});
    r.outbox.insert(r.outbox.end(), c.outbox.begin(), c.outbox.end());
    r.inbox.insert(r.inbox.end(), c.inbox.begin(), c.inbox.end());
  }
  void undo(const extended& e) noexcept {
    if (e.added) {
      records_.erase(e.at);
      return;
    }
    memory_record& r = e.at->second;
    while (r.outbox.size() > e.outbox) r.outbox.pop_back();
    while (r.inbox.size() > e.inbox) r.inbox.pop_back();
  }

  static void erase_below(std::deque<stored_message>& messages, std::uint64_t first) {
    while (!messages.empty() && messages.front().index < first) messages.pop_front();
  }

  const id_type& ids_;
  mutable std::mutex mutex_;
  incarnation local_;
  std::shared_ptr<const void> local_id_;
  id_map<memory_record> records_;
  memory_transaction::values values_;
  bool in_use_ = false;
};

ILM_INLINE std::shared_ptr<memory_store> make_memory_store(const id_type& ids) {
  return std::make_shared<memory_records>(ids);
}

}  // namespace ilm::inline v0::detail
