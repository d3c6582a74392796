#pragma once

#include <ilm/event.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/named.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <system_error>
#include <tuple>
#include <utility>

namespace ilm::inline v0::runtime {

/// Sums up events that repeat: of one peer, kind and error, the first is told at once, and those
/// that follow as one, at intervals that double from shortest_repeat_interval to
/// longest_repeat_interval. After an interval without any the next one is told at once again.
class event_repeats {
 public:
  /// Whether a hostile peer, a failing handler or a broken network can repeat the event at will.
  static bool may_repeat(event_kind kind) noexcept {
    return kind == event_kind::frame_rejected || kind == event_kind::delivery_failed ||
           kind == event_kind::network_problem;
  }

  /// True if the event is to be told now. Otherwise `poll` gives it later, in a sum.
  bool handle_event(const named_event& e, protocol::timestamp now) {
    if (!may_repeat(e.record.kind)) return true;
    key own{e.record.kind, e.record.error, e.peer};
    auto at = entries_.find(own);
    if (at == entries_.end() && is_full(own)) {
      own = key{e.record.kind, {}, nullptr, true};
      at = entries_.find(own);
    }
    bool first = at == entries_.end();
    if (first) {
      add(std::move(own), now);
    } else {
      at->second.add(e, at->first.shared);
    }
    assert(invariants_hold());
    return first;
  }

  /// The next sum whose time has come, or none.
  std::optional<named_event> poll(protocol::timestamp now) {
    while (!order_.empty() && order_.begin()->first.first <= now) {
      table::iterator at = order_.begin()->second;
      order_.erase(order_.begin());
      std::optional<named_event> sum = std::exchange(at->second.sum, std::nullopt);
      if (sum) {
        at->second.interval = std::min(at->second.interval * 2, longest_repeat_interval);
        schedule(at, now);
      } else {
        if (at->second.stranger) --strangers_;
        entries_.erase(at);
      }
      assert(invariants_hold());
      if (sum) return sum;
    }
    return std::nullopt;
  }

  /// When to call `poll`.
  protocol::timestamp deadline() const noexcept {
    return order_.empty() ? protocol::never : order_.begin()->first.first;
  }

  /// The next sum, whether its time has come or not: no event comes after.
  std::optional<named_event> poll_last() {
    for (auto& [k, e] : entries_) {
      if (e.sum) return std::exchange(e.sum, std::nullopt);
    }
    return std::nullopt;
  }

 private:
  struct key {
    event_kind kind{};
    std::error_code error;
    std::shared_ptr<const peer_name> peer;
    bool shared = false;  ///< by all that have no entry of their own

    bool operator<(const key& other) const {
      auto left = std::tuple(kind, error, shared, peer != nullptr);
      auto right = std::tuple(other.kind, other.error, other.shared, other.peer != nullptr);
      if (left != right || !peer) return left < right;
      return peer->precedes(*other.peer);
    }
  };

  struct entry {
    void add(const named_event& e, bool shared) {
      if (!sum) {
        sum = e;
        return;
      }
      if (sum->peer != e.peer && shared) sum->peer = nullptr;
      sum->record.merge(e.record);
    }

    std::optional<named_event> sum;  ///< of those that were not told
    protocol::duration interval = shortest_repeat_interval;
    bool stranger = false;
  };

  using table = std::map<key, entry>;

  /// A peer that the store does not have: a stranger may invent as many as it likes.
  static bool is_stranger(const key& k) noexcept { return k.peer && !k.peer->in_store; }

  /// Whether there is no place for an entry of its own.
  bool is_full(const key& own) const noexcept {
    return entries_.size() >= most_repeating_events ||
           (is_stranger(own) && strangers_ >= most_repeating_strangers);
  }

  void add(key k, protocol::timestamp now) {
    entry made;
    made.stranger = is_stranger(k);
    if (made.stranger) ++strangers_;
    schedule(entries_.emplace(std::move(k), std::move(made)).first, now);
  }
  void schedule(table::iterator at, protocol::timestamp now) {
    order_.emplace(std::pair(protocol::after(now, at->second.interval), ++scheduled_), at);
  }

  bool invariants_hold() const noexcept {
    return entries_.size() == order_.size() && strangers_ <= most_repeating_strangers;
  }

  table entries_;
  /// By the end of the interval; those of one time in the order in which it began.
  std::map<std::pair<protocol::timestamp, std::uint64_t>, table::iterator> order_;
  std::uint64_t scheduled_ = 0;
  std::size_t strangers_ = 0;
};

}  // namespace ilm::inline v0::runtime
