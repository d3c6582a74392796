#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/association.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/runtime/commit_units.hpp>
#include <ilm/runtime/deadlines.hpp>
#include <ilm/runtime/memory_budget.hpp>
#include <ilm/runtime/peer.hpp>
#include <ilm/runtime/peer_list.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>

namespace ilm::inline v0::runtime {

/// The table of peers, in the order of their ids, and which of them has something to do.
class peers {
 public:
  using table = std::map<const peer_name*, std::shared_ptr<peer>, name_order>;
  using resting_peers = deadlines<peer, &peer::rests_until, &peer::rests_as>;

  /// `common`: the setup of every peer but for its name and seed. `added` is called with each new
  /// peer.
  peers(const options& o, detail::turns& turns, protocol::association_setup common,
        protocol::random_source& random, statistics_board& board, name_keeper& names,
        std::function<void(peer&)> added)
      : options_(o),
        turns_(turns),
        common_(std::move(common)),
        random_(random),
        board_(board),
        names_(names),
        added_(std::move(added)),
        memory_(o) {
    assert(added_);
  }

  /// The identity of the store, from which the history with a peer that was never met begins.
  void set_incarnation(const incarnation& local) noexcept {
    assert(local && table_.empty());
    local_ = local;
  }
  incarnation create_incarnation() {
    return {protocol::next_nonzero(*common_.entropy), common_.entropy->next()};
  }

  /// The setup of a peer, but for its seed.
  protocol::association_setup setup_for(bytes encoded_id) const {
    protocol::association_setup setup = common_;
    setup.peer_id = std::move(encoded_id);
    return setup;
  }

  /// The peer, made or woken if need be.
  peer& of(peer_name& name) {
    if (name.state != nullptr) return *name.state;
    if (name.dormant) return wake(name);
    return add(name, protocol::begin_history(local_, name.encoded().view()));
  }
  /// The peer, woken if need be; null if nothing is known of it.
  peer* find(peer_name* name) { return name != nullptr && name->known() ? &of(*name) : nullptr; }
  /// How many there are, besides those that are dormant.
  std::size_t size() const noexcept { return table_.size(); }

  /// A peer that the store has. It is dormant, and null, if there is nothing to do for it.
  peer* add_stored(peer_name& name, const cursors& stored) {
    assert(!name.known() && local_ && stored.consistent());
    name.in_store = true;
    if (protocol::has_work(stored)) return &add(name, stored);
    board_.add(name.shared_from_this());
    name.dormant = packed_cursors(stored);
    name.dormant_down = false;
    return nullptr;
  }

  /// The messages that a peer of which something is known has not confirmed as delivered; `last` is
  /// the last one accepted. It need not wake.
  static sequence_range undelivered(const peer_name& name) noexcept {
    assert(name.known());
    if (name.state == nullptr) {
      outbox_cursors c = name.dormant.unpack().outbox;
      return {c.first, c.next - 1};
    }
    const protocol::association& core = name.state->core;
    return {core.delivered_by_peer() + 1, core.stored().outbox.next - 1};
  }

  /// Takes the peer out of memory, but for its cursors in the store and its figures: nobody can
  /// tell, as its `leaves_at` said. Nothing may refer to it in this turn.
  void leave(peer& p) {
    assert(p.at_rest() && p.core.stored().outbox.next == p.core.delivered_by_peer() + 1);
    peer_name& name = *p.name;
    packed_cursors kept(p.core.stored());
    board_.handle_dormant(*p.published);
    name.dormant_down = p.core.is_down();
    name.dormant = std::move(kept);
    take_out(p);
    assert(invariants_hold());
  }

  /// Takes the peer out of the table, all lists and the statistics; its coroutines end, and nothing
  /// may refer to it in this turn. The caller has ended all that waits for it.
  void remove(peer& p) {
    board_.remove(*p.name);
    peer_name& name = *p.name;
    std::shared_ptr<peer_name> kept = p.name;
    take_out(p);
    name.in_store = false;
    kept = nullptr;
    names_.release(name);
    assert(invariants_hold());
  }

  /// The peer may have a change to store.
  void list_changed(peer& p) {
    changed_.add(p);
    assert(invariants_hold());
  }
  /// `function(peer&)` with each, once; it must list none.
  template <class Function>
  void drain_changed(Function function) {
    changed_.drain(std::move(function));
  }

  /// The change that a listed peer may have may be due.
  void list_due(peer& p) {
    assert(p.changed != 0);
    due_.add(p);
  }
  /// Whether a listed peer has a change that is due, and is not held back, or one that is held back
  /// has its turn. A peer that has none is looked at once.
  bool has_due_change(protocol::timestamp now) {
    while (!due_.empty()) {
      peer& p = due_.back();
      if (p.changed != 0 && !units_.refusal(p) && p.core.has_due_change(now)) return true;
      due_.remove(p);
    }
    return units_.any_due();
  }

  /// Something has ended of a peer that is being forgotten: it may have come to rest.
  void list_calmer(peer& p) { calmer_.add(p); }
  /// A peer that is being forgotten and has come to rest, or null. One that has not is looked at
  /// once.
  peer* next_calm() noexcept {
    while (!calmer_.empty()) {
      peer& p = calmer_.back();
      if (p.forgetting() && p.at_rest()) return &p;
      calmer_.remove(p);
    }
    return nullptr;
  }

  // How many peers have something that a shutdown waits for: it looks at no peer.

  std::size_t writing() const noexcept { return writing_; }
  std::size_t delivering() const noexcept { return delivering_; }
  std::size_t owing() const noexcept { return owing_; }

  void set_writing(peer& p, bool now) noexcept { count(writing_, p.writing, now); }
  void set_delivering(peer& p, bool now) noexcept { count(delivering_, p.delivering, now); }
  /// To be called when the peer's session or outbox may have changed.
  void update_owing(peer& p) noexcept {
    bool present = p.core.state() != protocol::phase::absent;
    count(owing_, p.owing, present && p.core.outbox_depth() > 0);
  }

  /// The peer's frames wait for more messages.
  void list_unflushed(peer& p) {
    unflushed_.add(p);
    assert(invariants_hold());
  }
  /// `function(peer&)` with each, once; it must list none.
  template <class Function>
  void drain_unflushed(Function function) {
    unflushed_.drain(std::move(function));
  }

  /// To be called when the peer may have come to rest. When to look at it again.
  protocol::timestamp update_resting(peer& p, protocol::timestamp now) {
    if (p.has_network || p.rests_until != protocol::never || p.core.outbox_depth() > 0) {
      return protocol::never;
    }
    protocol::timestamp at = p.leaves_at();
    if (at == protocol::never) return protocol::never;
    at = std::max(at, protocol::after(now, quiet_before_leaving));
    resting_.arm(p, at);
    return at;
  }
  /// Peers that may be left out of memory, and when to see whether they still may.
  resting_peers& resting() noexcept { return resting_; }
  const resting_peers& resting() const noexcept { return resting_; }

  commit_units<peer>& units() noexcept { return units_; }
  const commit_units<peer>& units() const noexcept { return units_; }

  memory_budget<peer>& memory() noexcept { return memory_; }
  const memory_budget<peer>& memory() const noexcept { return memory_; }

  deadlines<peer>& timers() noexcept { return timers_; }
  const deadlines<peer>& timers() const noexcept { return timers_; }

  table::const_iterator begin() const noexcept { return table_.begin(); }
  table::const_iterator end() const noexcept { return table_.end(); }

 private:
  bool invariants_hold() const noexcept {
    return changed_.size() <= table_.size() && unflushed_.size() <= table_.size() &&
           due_.size() <= table_.size() && writing_ <= table_.size() &&
           delivering_ <= table_.size() && owing_ <= table_.size();
  }

  peer& add(peer_name& name, const cursors& stored) {
    statistics_board::entry& entry = board_.add(name.shared_from_this());
    try {
      return make(name, stored, entry);
    } catch (...) {
      if (name.state == nullptr) board_.remove(name);
      throw;
    }
  }

  /// As when the store was opened, but for its figures and the network's last word.
  peer& wake(peer_name& name) {
    statistics_board::entry& entry = board_.at(name);
    peer& p = make(name, name.dormant.unpack(), entry);
    name.dormant = {};
    if (name.dormant_down) p.core.handle_session_down();
    assert(name.in_store && !p.core.has_due_change(protocol::timestamp::min()));
    return p;
  }

  peer& make(peer_name& name, const cursors& stored, statistics_board::entry& entry) {
    assert(name.state == nullptr && local_ && stored.consistent());
    protocol::association_setup setup = setup_for(name.encoded());
    setup.seed = random_.next();
    auto made = std::make_shared<peer>(name.shared_from_this(), options_, std::move(setup), stored,
                                       turns_, board_.figures(entry));
    peer& p = *made;
    p.published = &entry;
    table_.emplace(p.name.get(), std::move(made));
    name.state = &p;
    assert(invariants_hold());
    added_(p);
    return p;
  }

  /// Out of the table and all lists; its coroutines end.
  void take_out(peer& p) {
    assert(p.name->state == &p && p.at_rest() && p.without_room == 0);
    std::shared_ptr<peer> kept = p.shared_from_this();
    changed_.remove(p);
    due_.remove(p);
    calmer_.remove(p);
    unflushed_.remove(p);
    count(owing_, p.owing, false);
    units_.remove(p);
    resting_.disarm(p);
    timers_.disarm(p);
    memory_.remove(p);
    p.published = nullptr;
    table_.erase(p.name.get());
    std::exchange(p.name, nullptr)->state = nullptr;
    detail::async_event::notify_both(p.write, p.deliver);
  }

  static void count(std::size_t& all, bool& flag, bool now) noexcept {
    if (std::exchange(flag, now) == now) return;
    assert(now || all > 0);
    now ? ++all : --all;
  }

  const options& options_;
  detail::turns& turns_;
  protocol::association_setup common_;
  protocol::random_source& random_;
  statistics_board& board_;
  name_keeper& names_;
  std::function<void(peer&)> added_;
  incarnation local_;

  table table_;
  peer_list<peer, &peer::changed> changed_;
  peer_list<peer, &peer::due> due_;
  peer_list<peer, &peer::calmer> calmer_;
  peer_list<peer, &peer::unflushed> unflushed_;
  commit_units<peer> units_;
  deadlines<peer> timers_;
  resting_peers resting_;
  memory_budget<peer> memory_;
  std::size_t writing_ = 0;
  std::size_t delivering_ = 0;
  std::size_t owing_ = 0;
};

}  // namespace ilm::inline v0::runtime
