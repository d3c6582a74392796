#pragma once

#include <ilm/event.hpp>
#include <ilm/runtime/bounds.hpp>
#include <ilm/runtime/named.hpp>

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// The events that nobody has read. Those that matter more come first; among equals, the oldest.
///
/// Beyond the limit an event goes: the least important, and of these the oldest of the peer that
/// has most, or that came first among equals. Those that tell of messages lost or repeated, or of a
/// broken store, have places of their own beside the limit: vital_events_per_peer for each peer,
/// and then those of one peer and kind become one.
class event_backlog {
 public:
  explicit event_backlog(std::size_t limit) : limit_(limit) { assert(limit_ > 0); }

  /// How many events went for it.
  std::uint64_t push(named_event e) {
    rank r = rank_of(e.record.kind);
    if (r == vital) {
      push_vital(std::move(e));
      return 0;
    }
    lanes_[r].push_back(std::move(e));
    return lanes_[state].size() + lanes_[noise].size() > limit_ ? drop_one() : 0;
  }

  /// The event is the next one of its rank again, beyond the limit if need be.
  void put_back(named_event e) {
    lane& l = lanes_[rank_of(e.record.kind)];
    l.push_front(std::move(e));
  }

  bool empty() const noexcept {
    return lanes_[vital].empty() && lanes_[state].empty() && lanes_[noise].empty();
  }
  named_event pop() {
    assert(!empty());
    for (lane& l : lanes_) {
      if (!l.empty()) return l.pop_front();
    }
    return {};
  }

  /// How many events went since the last call, by kind.
  std::vector<event_count> take_dropped() {
    std::vector<event_count> counts;
    for (std::size_t kind = 0; kind < dropped_.size(); ++kind) {
      std::uint64_t count = std::exchange(dropped_[kind], 0);
      if (count > 0) counts.push_back({static_cast<event_kind>(kind), count});
    }
    return counts;
  }

 private:
  enum rank : std::size_t { vital, state, noise, ranks };

  static rank rank_of(event_kind kind) noexcept {
    switch (kind) {
      case event_kind::peer_reset:
      case event_kind::store_lost:
      case event_kind::peer_rolled_back:
      case event_kind::rolled_back:
      case event_kind::gap:
      case event_kind::peer_forgotten:
      case event_kind::message_skipped:
      case event_kind::store_failed:
      case event_kind::store_recovered:
      case event_kind::network_ended:
      case event_kind::messenger_failed:
        return vital;
      case event_kind::peer_connected:
      case event_kind::peer_disconnected:
      case event_kind::peer_incompatible:
      case event_kind::stream_blocked:
        return state;
      case event_kind::frame_rejected:
      case event_kind::delivery_failed:
      case event_kind::network_problem:
      case event_kind::events_lost:
        return noise;
    }
    return noise;
  }

  /// Events of one rank, in order, and how many each peer has.
  class lane {
   public:
    void push_back(named_event e) {
      const peer_name* of = owner_of(e);
      events_.push_back({std::move(e), of});
      change(of, [this](share& s) { s.places.push_back(std::prev(events_.end())); });
    }
    void push_front(named_event e) {
      const peer_name* of = owner_of(e);
      events_.push_front({std::move(e), of});
      change(of, [this](share& s) { s.places.push_front(events_.begin()); });
    }
    named_event pop_front() { return take(events_.front().owner); }
    /// The oldest event of the peer that has most.
    named_event pop_most() { return take(std::get<2>(*loads_.rbegin())); }

    std::size_t count(const named_event& e) const {
      auto at = shares_.find(owner_of(e));
      return at == shares_.end() ? 0 : at->second.places.size();
    }
    /// Takes the newest event of this peer and kind; false if there is none.
    bool take_like(const named_event& e, named_event& found) {
      auto at = shares_.find(owner_of(e));
      if (at == shares_.end()) return false;
      auto& places = at->second.places;
      for (std::size_t i = places.size(); i-- > 0;) {
        if (places[i]->event.record.kind != e.record.kind) continue;
        found = std::move(places[i]->event);
        events_.erase(places[i]);
        change(at->first, [i](share& s) {
          s.places.erase(s.places.begin() + static_cast<std::ptrdiff_t>(i));
        });
        return true;
      }
      return false;
    }

    bool empty() const noexcept { return events_.empty(); }
    std::size_t size() const noexcept { return events_.size(); }

   private:
    struct item {
      named_event event;
      const peer_name* owner;  ///< as it was when the event came
    };
    using place = std::list<item>::iterator;

    struct share {
      std::deque<place> places;
      std::uint64_t serial = 0;  ///< where peers lie in memory must not decide between them
    };

    /// Strangers share one account.
    static const peer_name* owner_of(const named_event& e) noexcept {
      return e.peer && e.peer->known() ? e.peer.get() : nullptr;
    }

    named_event take(const peer_name* of) {
      place at = shares_.at(of).places.front();
      named_event e = std::move(at->event);
      events_.erase(at);
      change(of, [](share& s) { s.places.pop_front(); });
      return e;
    }

    template <class Function>
    void change(const peer_name* of, Function function) {
      share& s = shares_[of];
      if (s.serial == 0) s.serial = ++serials_;
      loads_.erase({s.places.size(), ~s.serial, of});
      function(s);
      if (s.places.empty()) {
        shares_.erase(of);
      } else {
        loads_.emplace(s.places.size(), ~s.serial, of);
      }
    }

    std::list<item> events_;
    std::unordered_map<const peer_name*, share> shares_;
    /// By the number of events; among equals the peer that came first is the last.
    std::set<std::tuple<std::size_t, std::uint64_t, const peer_name*>> loads_;
    std::uint64_t serials_ = 0;
  };

  /// An event that there is no place for becomes one with the newest of its peer and kind, and the
  /// newest of all: it tells how things stand now.
  void push_vital(named_event e) {
    lane& l = lanes_[vital];
    named_event earlier;
    bool full = l.size() >= limit_ || l.count(e) >= vital_events_per_peer;
    if (full && l.take_like(e, earlier)) {
      earlier.record.merge(e.record);
      e.record = std::move(earlier.record);
    }
    l.push_back(std::move(e));
  }

  std::uint64_t drop_one() {
    lane& l = lanes_[noise].empty() ? lanes_[state] : lanes_[noise];
    named_event gone = l.pop_most();
    dropped_[static_cast<std::size_t>(gone.record.kind)] += gone.record.count;
    return gone.record.count;
  }

  std::size_t limit_;
  std::array<lane, ranks> lanes_;
  std::array<std::uint64_t, event_kinds> dropped_{};
};

}  // namespace ilm::inline v0::runtime
