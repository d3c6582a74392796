#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/association.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/runtime/commit_units.hpp>
#include <ilm/runtime/deadlines.hpp>
#include <ilm/runtime/memory_budget.hpp>
#include <ilm/runtime/peer.hpp>

#include <cassert>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// The table of peers, in the order of their ids, and which of them has something to do.
class peers {
 public:
  using table = std::map<const peer_name*, std::shared_ptr<peer>, name_order>;

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

  /// The peer, made if need be.
  peer& of(peer_name& name) {
    if (name.state != nullptr) return *name.state;
    return add(name, protocol::begin_history(local_, name.encoded().view()));
  }
  std::size_t size() const noexcept { return table_.size(); }

  peer& add(peer_name& name, const cursors& stored) {
    assert(name.state == nullptr && local_ && stored.consistent());
    protocol::association_setup setup = setup_for(name.encoded());
    setup.seed = random_.next();
    auto made =
        std::make_shared<peer>(name.shared_from_this(), options_, std::move(setup), stored, turns_);
    peer& p = *made;
    p.published = &board_.add(p.name);
    table_.emplace(p.name.get(), std::move(made));
    name.state = &p;
    assert(invariants_hold());
    added_(p);
    return p;
  }

  /// Takes the peer out of the table, all lists and the statistics; its coroutines end, and nothing
  /// may refer to it in this turn. The caller has ended all that waits for it.
  void remove(peer& p) {
    assert(p.name->state == &p && p.at_rest() && !p.without_room && !draining_);
    std::shared_ptr<peer> kept = p.shared_from_this();
    if (std::exchange(p.changed, false)) std::erase(changed_, &p);
    if (std::exchange(p.due, false)) std::erase(due_, &p);
    if (std::exchange(p.unflushed, false)) std::erase(unflushed_, &p);
    count(owing_, p.owing, false);
    units_.remove(p);
    timers_.disarm(p);
    memory_.remove(p);
    board_.remove(*p.name);
    p.published = nullptr;
    table_.erase(p.name.get());
    peer_name& name = *std::exchange(p.name, nullptr);
    name.state = nullptr;
    name.in_store = false;
    names_.release(name);
    p.write.notify();
    p.deliver.notify();
    assert(invariants_hold());
  }

  /// The peer may have a change to store.
  void list_changed(peer& p) {
    if (!std::exchange(p.changed, true)) changed_.push_back(&p);
    assert(invariants_hold());
  }
  /// `function(peer&)` with each, once; it must list none.
  template <class Function>
  void drain_changed(Function function) {
    drain(changed_, &peer::changed, std::move(function));
  }

  /// The change that a listed peer may have may be due.
  void list_due(peer& p) {
    assert(p.changed);
    if (!std::exchange(p.due, true)) due_.push_back(&p);
  }
  /// Whether a listed peer has a change that is due, and is not held back, or one that is held back
  /// has its turn. A peer that has none is looked at once.
  bool has_due_change(protocol::timestamp now) {
    while (!due_.empty()) {
      peer& p = *due_.back();
      if (p.changed && !units_.refusal(p) && p.core.has_due_change(now)) return true;
      p.due = false;
      due_.pop_back();
    }
    return units_.any_due();
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
    if (!std::exchange(p.unflushed, true)) unflushed_.push_back(&p);
    assert(invariants_hold());
  }
  /// `function(peer&)` with each, once; it must list none.
  template <class Function>
  void drain_unflushed(Function function) {
    drain(unflushed_, &peer::unflushed, std::move(function));
  }

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

  static void count(std::size_t& all, bool& flag, bool now) noexcept {
    if (std::exchange(flag, now) == now) return;
    assert(now || all > 0);
    now ? ++all : --all;
  }

  template <class Function>
  void drain(std::vector<peer*>& list, bool peer::*listed, Function function) {
    [[maybe_unused]] std::size_t count = list.size();
    draining_ = true;
    for (peer* p : list) {
      p->*listed = false;
      function(*p);
    }
    assert(list.size() == count);
    draining_ = false;
    list.clear();
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
  std::vector<peer*> changed_;
  std::vector<peer*> due_;
  std::vector<peer*> unflushed_;
  bool draining_ = false;  ///< a list is walked: none may be removed from it
  commit_units<peer> units_;
  deadlines<peer> timers_;
  memory_budget<peer> memory_;
  std::size_t writing_ = 0;
  std::size_t delivering_ = 0;
  std::size_t owing_ = 0;
};

}  // namespace ilm::inline v0::runtime
