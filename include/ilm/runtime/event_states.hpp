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
#include <utility>

namespace ilm::inline v0::runtime {

/// Sums up states that flap: whether a peer has a session, and whether the store takes its changes,
/// or works at all. Of each, state_changes_at_once changes are told at once. From then on, those
/// that come before an interval is over are told at its end as one, which is the newest. It grows
/// from shortest_repeat_interval to longest_state_interval; each longest_state_interval without a
/// change takes one step back. Of strangers, only some are kept: what others do is told at once.
class event_states {
 public:
  /// True if the event is to be told now. Otherwise `poll` gives it later, or a newer one.
  bool handle_event(const named_event& e, protocol::timestamp now) {
    std::optional<event_kind> state = state_of(e.record.kind);
    if (!state) return true;
    key k{*state, e.peer};
    auto at = entries_.find(k);
    bool first = at == entries_.end();
    if (first && is_stranger(k) && strangers_ == most_states_of_strangers) return true;
    if (first) at = add(k);
    entry& s = at->second;
    bool changed = first || s.kind != e.record.kind || s.error != e.record.error;
    s.kind = e.record.kind;
    s.error = e.record.error;
    if (s.sum) {
      s.sum->record.merge(e.record);
      s.sum->record.kind = e.record.kind;
      return false;
    }
    // A failure of something else, with the same error.
    if (!changed) return true;
    protocol::timestamp due = first ? now : protocol::after(s.told_at, interval(s.told));
    if (due <= now) {
      handle_told(at, now);
      return true;
    }
    s.sum = e;
    schedule(at, due);
    assert(invariants_hold());
    return false;
  }

  /// The next event whose time has come, or none.
  std::optional<named_event> poll(protocol::timestamp now) {
    while (deadline() <= now) {
      table::iterator at = order_.begin()->second;
      std::optional<named_event> sum = std::exchange(at->second.sum, std::nullopt);
      if (sum) {
        handle_told(at, now);
      } else if (--at->second.told > 0) {
        schedule(at, protocol::after(now, longest_state_interval));
      } else {
        if (at->second.stranger) --strangers_;
        order_.erase(at->second.scheduled);
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

  /// The next event, whether its time has come or not: none comes after.
  std::optional<named_event> poll_last() {
    for (auto& [k, e] : entries_) {
      if (e.sum) return std::exchange(e.sum, std::nullopt);
    }
    return std::nullopt;
  }

 private:
  struct key {
    event_kind state{};
    std::shared_ptr<const peer_name> peer;

    bool operator<(const key& other) const {
      auto left = std::pair(state, peer != nullptr);
      auto right = std::pair(other.state, other.peer != nullptr);
      if (left != right || !peer) return left < right;
      return peer->precedes(*other.peer);
    }
  };
  /// By time; those of one time in the order in which they were scheduled.
  using place = std::pair<protocol::timestamp, std::uint64_t>;

  struct entry {
    std::optional<named_event> sum;  ///< of those that were not told
    event_kind kind{};               ///< of the newest
    std::error_code error;
    bool stranger = false;
    unsigned told = 0;  ///< how many, less those that quiet times took back
    protocol::timestamp told_at{};
    place scheduled;
  };

  using table = std::map<key, entry>;

  /// A peer that the store does not have: a stranger may invent as many as it likes.
  static bool is_stranger(const key& k) noexcept { return k.peer && !k.peer->in_store; }

  table::iterator add(const key& k) {
    table::iterator at = entries_.try_emplace(k).first;
    at->second.stranger = is_stranger(k);
    if (at->second.stranger) ++strangers_;
    return at;
  }

  /// The event that begins a state for one that begins or ends it.
  static std::optional<event_kind> state_of(event_kind kind) noexcept {
    if (kind == event_kind::store_failed || kind == event_kind::store_recovered) {
      return event_kind::store_failed;
    }
    if (kind == event_kind::peer_connected || kind == event_kind::peer_disconnected) {
      return event_kind::peer_connected;
    }
    return std::nullopt;
  }

  /// How long after so many that were told the next one comes at the earliest.
  static protocol::duration interval(unsigned told) noexcept {
    if (told < state_changes_at_once) return {};
    protocol::duration longer = shortest_repeat_interval * (1U << (told - state_changes_at_once));
    return std::min(longer, longest_state_interval);
  }

  void handle_told(table::iterator at, protocol::timestamp now) {
    entry& s = at->second;
    if (interval(s.told) < longest_state_interval) ++s.told;
    s.told_at = now;
    schedule(at, protocol::after(now, longest_state_interval));
    assert(invariants_hold());
  }
  void schedule(table::iterator at, protocol::timestamp when) {
    place next(when, ++scheduled_);
    order_.emplace(next, at);
    order_.erase(std::exchange(at->second.scheduled, next));
  }

  bool invariants_hold() const noexcept {
    return entries_.size() == order_.size() && strangers_ <= most_states_of_strangers;
  }

  table entries_;  ///< two for each peer of the store at most, one for the store, and strangers
  std::size_t strangers_ = 0;
  std::map<place, table::iterator> order_;
  std::uint64_t scheduled_ = 0;
};

}  // namespace ilm::inline v0::runtime
