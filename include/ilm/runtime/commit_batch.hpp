#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/runtime/commit_search.hpp>
#include <ilm/runtime/context.hpp>
#include <ilm/runtime/dispatcher.hpp>
#include <ilm/runtime/peers.hpp>
#include <ilm/runtime/ports.hpp>
#include <ilm/runtime/send_driver.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// The changes that the store is asked to take at one time: all of them at first, and where that
/// fails, those that it does take. Those that it refuses are held back, or put off where it takes
/// nothing. Those that had no try are put back, for the next batch.
class commit_batch {
 public:
  commit_batch(context& c, peers& all, dispatcher& d, send_driver& sends)
      : context_(c), peers_(all), dispatcher_(d), sends_(sends) {}

  bool empty() const noexcept { return changes_.empty(); }

  /// Gathers the changes of all peers that have any, and are not held back, and those of one unit
  /// that is. The last commit has all. False if there are none.
  bool collect() {
    assert(empty() && groups_.empty());
    protocol::timestamp now = context_.now();
    bool last = context_.life.current() == lifecycle::state::last_commit;
    commit_units<peer>& units = peers_.units();
    again_ = false;
    ++turn_;
    peers_.drain_changed([&](peer& p) {
      if (!units.refusal(p)) collect(p, now);
    });
    together_ = groups_.size();
    while (commit_unit<peer>* u = last ? units.take_held() : units.take_due()) {
      collect(*u->members.front(), now);
      if (!last) break;
    }
    search_.start(put_back_last(), together_, groups_.size(), last, now);
    assert(invariants_hold());
    return !empty();
  }

  /// Chooses the next try; then `handle_ended`. False at the end; then `finish`. After a
  /// failure, a shutdown's deadline is the end.
  bool next_try() {
    protocol::timestamp now = context_.now();
    if (failure_ && !context_.life.begins_commits(now)) search_.handle_stop();
    std::optional<commit_search::range> next = search_.next(now);
    if (next) tried_ = *next;
    return next.has_value();
  }
  /// After `finish`: whether what was collected is to be tried again, without the effects that
  /// failed.
  bool again() const noexcept { return again_; }
  /// Whether it was the last try.
  bool ended() const noexcept { return search_.ended(); }

  /// Hands the changes of the try to the store. A batch that cannot be made fails as one that the
  /// store refuses.
  void append_to(store_port& store) {
    appended_ = 0;
    effects_.clear();
    for_each_tried([&](peer& p, protocol::store_change& change) {
      store.append(*p.name, change);
      ++appended_;
      for (const pending_consumption& c : p.pending) {
        if (c.at.index >= change.next.inbox.first) break;
        for (const auto& effect : c.effects) effects_.add(*effect, &p, c.at.index);
      }
    });
  }
  /// Those of the try.
  detail::effect_list& effects() noexcept { return effects_; }
  void take_back(store_port& store) noexcept {
    std::size_t at = 0;
    for_each_tried([&](peer&, protocol::store_change& change) {
      if (at < appended_) store.take_back(at, change);
      ++at;
    });
  }

  /// The store has the changes of the try, or not, for `why`.
  void handle_ended(detail::failure why) {
    if (why && effects_.failed()) {
      // The store is well, and has nothing of the try: the next batch goes on without them.
      context_.scheduler.handle_commit_failed();
      search_.handle_set_aside();
      again_ = true;
      return;
    }
    context_.board.count_commit(static_cast<bool>(why));
    if (why) {
      context_.scheduler.handle_commit_failed();
      search_.handle_failed();
      if (tried_.size() == 1) {
        groups_[tried_.first].why = why;
        for_each_tried([this](peer& p, protocol::store_change&) { p.last_turn = turn_; });
      } else if (!failure_ && tried_.first == 0) {
        sort_by_turn(0);
      }
      failure_ = std::move(why);
    } else {
      if (context_.scheduler.handle_committed()) context_.report(event_kind::store_recovered);
      search_.handle_stored();
      effects_.set_isolated(false);
      complete_tried();
    }
    assert(invariants_hold());
  }

  /// A change that the store refuses while it takes others is held back, and one that was not tried
  /// by itself is put back. Where it takes nothing, it is the store that fails.
  void finish() {
    protocol::timestamp now = context_.now();
    bool works = search_.store_works();
    bool last = context_.life.current() == lifecycle::state::last_commit;
    bool store_fails = !works && std::any_of(groups_.begin(), groups_.end(),
                                             [](const group& g) { return !g.held; });
    if (store_fails && context_.scheduler.handle_store_failed(now)) {
      context_.report(event_kind::store_failed, failure_);
    }
    for (group& g : groups_) {
      if (g.stored) continue;
      if (!g.why && !again_ && (last || !(works || g.held))) g.why = failure_;
      fail(g, now, g.held || works);
    }
    if (again_) return_failed(now);
    sends_.post_completed();
    for (auto& [p, change] : changes_) {
      p->in_batch = false;
      dispatcher_.watch_rest(*p);
    }
    groups_.clear();
    changes_.clear();
    effects_.clear();
    failure_ = {};
    context_.wake_by(std::min(context_.scheduler.deadline(), peers_.units().deadline()));
    assert(invariants_hold());
    admit_waiting();
  }

 private:
  /// Changes that are stored together or not at all: from `first` to before `last`.
  struct group {
    std::size_t first = 0;
    std::size_t last = 0;
    bool held = false;      ///< it was held back, and is tried by itself
    bool put_back = false;  ///< the last batch had no try for it
    bool stored = false;
    detail::failure why;          ///< why the store refused it, once it was tried by itself
    std::uint64_t last_turn = 0;  ///< the latest of its peers
    commit_units<peer>::bonds bonds;
  };

  bool invariants_hold() const noexcept {
    return changes_.empty() == groups_.empty() && groups_.size() <= changes_.size() &&
           changes_.size() <= peers_.size();
  }

  /// The change of the peer, and those that belong to it.
  void collect(peer& p, protocol::timestamp now) {
    group g;
    g.held = bool(peers_.units().refusal(p));
    g.first = changes_.size();
    g.bonds = peers_.units().take(p, [&](peer& m) {
      if (m.forgetting()) return;
      std::optional<protocol::store_change> change = m.core.poll_change(now);
      if (!change) return;
      assert(change->next.consistent());
      if (m.last_turn == 0) m.last_turn = turn_;
      g.last_turn = std::max(g.last_turn, m.last_turn);
      g.put_back = g.put_back || m.put_back;
      changes_.emplace_back(&m, std::move(*change));
      m.in_batch = true;
    });
    g.last = changes_.size();
    if (g.first != g.last) {
      groups_.push_back(std::move(g));
    } else if (g.held) {
      release(p);
    }
  }

  /// Groups that were put back come behind the others, which are not to wait for them. How many
  /// others there are.
  std::size_t put_back_last() {
    auto end = groups_.begin() + static_cast<std::ptrdiff_t>(together_);
    auto fresh =
        std::stable_partition(groups_.begin(), end, [](const group& g) { return !g.put_back; });
    std::size_t count = static_cast<std::size_t>(fresh - groups_.begin());
    sort_by_turn(count);
    return count;
  }
  /// The groups from `first` on: those that have waited longest for a try come first.
  void sort_by_turn(std::size_t first) {
    auto begin = groups_.begin() + static_cast<std::ptrdiff_t>(first);
    auto end = groups_.begin() + static_cast<std::ptrdiff_t>(together_);
    std::stable_sort(begin, end,
                     [](const group& a, const group& b) { return a.last_turn < b.last_turn; });
  }

  /// Nothing of the unit is held back any more.
  void release(peer& p) {
    peers_.units().release(p, [](peer& m) { m.deliver.notify(); });
  }

  void complete_tried() {
    protocol::timestamp now = context_.now();
    for (std::size_t g = tried_.first; g < tried_.last; ++g) groups_[g].stored = true;
    for_each_tried([&](peer& p, protocol::store_change&) {
      p.name->in_store = true;
      p.refused = false;
      p.put_back = false;
      p.apart = {};
      p.last_turn = turn_;
      release(p);
      if (std::exchange(p.failure_told, false)) {
        context_.report(event_kind::store_recovered, {}, p.name.get());
      }
      p.core.handle_committed(now);
      while (!p.pending.empty() && p.pending.front().at.index < p.core.stored().inbox.first) {
        p.pending.pop_front();
      }
      dispatcher_.update_memory(p);
      sends_.complete(p, now);
      // Changes that came during the commit were not due before its end.
      if (p.changed != 0) peers_.list_due(p);
    });
    sends_.post_completed();
    admit_waiting();
    std::size_t unsent = 0;
    for_each_tried([&](peer& p, protocol::store_change&) {
      peers_.list_unflushed(p);
      unsent = std::max(unsent, p.core.unsent_bytes());
    });
    if (context_.scheduler.flush_due(unsent)) dispatcher_.flush();
  }

  /// The sends of a group that was refused end with the error, but for those with the consumption
  /// of a message. A group without one is put back: nothing of it ends.
  void fail(group& g, protocol::timestamp now, bool hold) {
    std::vector<peer*> together;
    bool waits = false;
    for_each_of(g, [&](peer& p, protocol::store_change&) {
      p.put_back = !g.why && !again_;
      p.core.handle_commit_failed(g.why.code, now);
      if (p.forgetting()) {
        std::erase_if(g.bonds, [&](const auto& b) { return b.first == &p || b.second == &p; });
      } else {
        together.push_back(&p);
      }
    });
    for_each_of(g, [&](peer& p, protocol::store_change&) {
      // Sends with the consumption of a message came back, and no change of the peer is to follow.
      if (p.forgetting()) p.core.handle_forget(error::peer_forgotten);
      sends_.complete(p, now);
      waits = waits || p.core.has_due_change(now);
      peers_.list_changed(p);
      peers_.list_due(p);
      peers_.list_unflushed(p);
    });
    commit_units<peer>& units = peers_.units();
    peer& any = *changes_[g.first].first;
    // Changes that belong together stay together. Those of a batch of sends, which has failed, do
    // so no more: the next try shows which of them the store refuses.
    bool parts = g.why && !are_bound(together, g.bonds);
    for_each_of(g, [&](peer& p, protocol::store_change&) {
      if (g.why && !parts) tell_refused(p, g.why, hold);
      p.apart = parts && p.core.has_due_change(now) ? g.why.code : std::error_code();
    });
    hold = hold && waits && !together.empty() && !parts;
    if (g.held && !hold) release(any);
    if (hold && g.why) {
      units.hold(together, g.bonds, g.why.code, now, context_.settings);
    } else if (hold && g.held) {
      units.put_back(any, now);
    } else if (parts) {
      units.rebind(g.bonds);
    } else {
      units.rejoin(together, g.bonds);
    }
  }

  /// The messages whose effects failed are not consumed after all.
  void return_failed(protocol::timestamp now) {
    effects_.set_isolated(true);
    for (const detail::effect_list::entry& e : effects_.entries()) {
      if (!e.failed) continue;
      for (auto& [p, change] : changes_) {
        if (p == e.stream) return_from(*p, e.index, detail::failure_of(e.failed), now);
      }
    }
  }
  void return_from(peer& p, std::uint64_t index, detail::failure why, protocol::timestamp now) {
    auto first = std::find_if(p.pending.begin(), p.pending.end(),
                              [&](const pending_consumption& c) { return c.at.index == index; });
    if (first == p.pending.end()) return;
    const protocol::inbox_place at = first->at;
    p.offered = at.index;
    p.attempts = first->attempt;
    p.consumed -= p.core.consumed_next() - at.index;
    for (auto c = first; c != p.pending.end(); ++c) {
      sends_.withdraw_staged(c->sends, error::message_returned);
    }
    p.pending.erase(first, p.pending.end());
    dispatcher_.fail_consumptions(p, at.index, error::message_returned);
    p.core.handle_consumption_failed(at, std::move(why), now);
    if (p.delivering) p.stop_delivering.emit(asio::cancellation_type::terminal);
    dispatcher_.service(p);
  }

  /// Whether bonds lead from each of the peers to each other one.
  static bool are_bound(const std::vector<peer*>& all, const commit_units<peer>::bonds& bonds) {
    if (all.size() < 2) return true;
    std::map<const peer*, std::vector<const peer*>> next;
    for (const auto& [a, b] : bonds) {
      next[a].push_back(b);
      next[b].push_back(a);
    }
    std::set<const peer*> reached{all.front()};
    std::vector<const peer*> open{all.front()};
    while (!open.empty()) {
      const peer* p = open.back();
      open.pop_back();
      for (const peer* other : next[p]) {
        if (reached.insert(other).second) open.push_back(other);
      }
    }
    return std::all_of(all.begin(), all.end(), [&](peer* p) { return reached.contains(p); });
  }

  void tell_refused(peer& p, const detail::failure& why, bool alone) {
    p.refused = true;
    if (alone && !std::exchange(p.failure_told, true)) {
      context_.report(event_kind::store_failed, why, p.name.get());
    }
  }

  /// Sends and deliveries that waited for the store may go on.
  void admit_waiting() {
    sends_.admit_waiting();
    dispatcher_.admit_deliveries();
  }

  /// `function(peer&, store_change&)` with each change that is tried.
  template <class Function>
  void for_each_tried(Function function) {
    for (std::size_t g = tried_.first; g < tried_.last; ++g) for_each_of(groups_[g], function);
  }
  template <class Function>
  void for_each_of(const group& g, Function&& function) {
    for (std::size_t at = g.first; at < g.last; ++at) {
      function(*changes_[at].first, changes_[at].second);
    }
  }

  context& context_;
  peers& peers_;
  dispatcher& dispatcher_;
  send_driver& sends_;
  std::vector<std::pair<peer*, protocol::store_change>> changes_;
  std::vector<group> groups_;
  detail::effect_list effects_;  ///< of the try
  bool again_ = false;           ///< one of them failed
  commit_search search_;
  commit_search::range tried_;
  std::size_t together_ = 0;  ///< how many of the groups are not held back
  std::uint64_t turn_ = 0;    ///< how many batches there were
  std::size_t appended_ = 0;  ///< how many of the changes tried the store was handed
  detail::failure failure_;   ///< the last one
};

}  // namespace ilm::inline v0::runtime
