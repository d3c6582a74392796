#pragma once

#include <ilm/options.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/runtime/commit_backoff.hpp>
#include <ilm/runtime/deadlines.hpp>

#include <cassert>
#include <cstdint>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

/// Peers whose changes are stored together or not at all: a message is sent to one with the
/// consumption of a message from another, which is a bond, or messages to both in one batch. Or
/// those that are held back, be it a peer by itself.
template <class Peer>
struct commit_unit {
  using bonds_type = std::vector<std::pair<Peer*, Peer*>>;

  bool held() const noexcept { return bool(reason); }

  std::vector<Peer*> members;  ///< each has this unit
  bonds_type bonds;            ///< of those that stay together where the store refuses the changes
  /// Why the store refused the changes; none if it did not. Until it takes them, the unit is held
  /// back: it is tried by itself, and nobody joins it. Then it waits for its time, or is due, or is
  /// with the store.
  std::error_code reason;
  commit_backoff backoff;
  protocol::timestamp armed = protocol::never;
  std::uint64_t armed_as = 0;  ///< the entry for `armed` among the deadlines, or those due
  bool due = false;            ///< waits for its turn, and not for a time
};

/// The units of the peers that have one. A `Peer` has a member `unit`, null without one.
template <class Peer>
class commit_units {
 public:
  using unit = commit_unit<Peer>;
  using bonds = typename unit::bonds_type;

  /// Why nobody may join the peer now; none if they may.
  static std::error_code refusal(const Peer& p) noexcept {
    return p.unit ? p.unit->reason : std::error_code();
  }

  /// The next changes of both go together.
  void join(Peer& a, Peer& b) {
    assert(!refusal(a) && !refusal(b));
    if (&a != &b) merge(unit_of(a), unit_of(b));
  }
  /// Likewise, and should the store refuse them, the ones after that.
  void bind(Peer& a, Peer& b) {
    if (&a == &b) return;
    join(a, b);
    a.unit->bonds.emplace_back(&a, &b);
  }

  /// `function(peer&)` with each whose change goes with that of `p`, for a try. Joins that follow
  /// are of the changes that follow. Gives the bonds.
  template <class Function>
  bonds take(Peer& p, Function function) {
    std::shared_ptr<unit> u = p.unit;
    if (!u) {
      function(p);
      return {};
    }
    if (!u->held()) detach(*u);
    for (Peer* m : u->members) function(*m);
    return u->bonds;
  }
  /// The store took a change of the peer, or nothing of it is left to store: its unit is not held
  /// any more. `function(peer&)` with each that was.
  template <class Function>
  void release(const Peer& p, Function function) {
    std::shared_ptr<unit> u = p.unit;
    if (!u || !u->held()) return;
    disarm(*u);
    detach(*u);
    for (Peer* m : u->members) function(*m);
  }
  /// The changes of `together` failed: they still go together, with those that were joined to
  /// them meanwhile.
  void rejoin(const std::vector<Peer*>& together, const bonds& kept) {
    for (Peer* p : together) {
      if (p != together.front()) merge(unit_of(*together.front()), unit_of(*p));
    }
    rebind(kept);
  }
  /// Likewise, but only those that are bound to one another.
  void rebind(const bonds& kept) {
    for (const auto& [a, b] : kept) {
      merge(unit_of(*a), unit_of(*b));
      a->unit->bonds.emplace_back(a, b);
    }
  }
  /// Likewise, and the store takes others.
  void hold(const std::vector<Peer*>& together, const bonds& kept, std::error_code reason,
            protocol::timestamp now, const options& o) {
    assert(!together.empty() && reason);
    // One that is held has its bonds.
    bool was_held = together.front()->unit && together.front()->unit->held();
    rejoin(together, was_held ? bonds() : kept);
    unit& u = *unit_of(*together.front());
    u.reason = reason;
    u.backoff.handle_failed(now, o);
    disarm(u);
    timers_.arm(u, u.backoff.until());
    assert(!u.due);
  }

  /// A new send: its caller shall learn how the store is now.
  void handle_send(const Peer& p, protocol::timestamp now) {
    if (p.unit && p.unit->armed != protocol::never) list_due(*p.unit, now);
  }
  /// The unit that `take_due` gave was not tried.
  void put_back(const Peer& p, protocol::timestamp now) { list_due(*p.unit, now); }

  /// The units that were held back until `now` are due. False if there are none.
  bool handle_time(protocol::timestamp now) {
    bool any = false;
    while (unit* u = timers_.take_due(now)) {
      list_due(*u, now);
      any = true;
    }
    return any;
  }
  protocol::timestamp deadline() const noexcept { return timers_.earliest(); }

  /// Those that are due take turns: the next one, or null. It is to be tried, or put back.
  unit* take_due() {
    unit* u = due_.take_due(protocol::never);
    if (u != nullptr) u->due = false;
    return u;
  }
  bool any_due() const noexcept { return due_.earliest() != protocol::never; }
  /// Likewise, of all that are held back.
  unit* take_held() {
    unit* u = take_due();
    return u != nullptr ? u : timers_.take_due(protocol::never);
  }

  /// The peer leaves its unit.
  void remove(Peer& p) {
    std::shared_ptr<unit> u = std::exchange(p.unit, nullptr);
    if (!u) return;
    std::erase(u->members, &p);
    std::erase_if(u->bonds, [&](const auto& b) { return b.first == &p || b.second == &p; });
    if (u->members.empty()) disarm(*u);
  }

 private:
  static std::shared_ptr<unit> unit_of(Peer& p) {
    if (!p.unit) {
      auto made = std::make_shared<unit>();
      made->members.push_back(&p);
      p.unit = std::move(made);
    }
    return p.unit;
  }

  /// The smaller one goes into the other, but one that is held stays.
  void merge(std::shared_ptr<unit> into, std::shared_ptr<unit> from) {
    if (into == from) return;
    if (from->held() || (!into->held() && into->members.size() < from->members.size())) {
      std::swap(into, from);
    }
    into->members.insert(into->members.end(), from->members.begin(), from->members.end());
    into->bonds.insert(into->bonds.end(), from->bonds.begin(), from->bonds.end());
    for (Peer* p : from->members) p->unit = into;
    disarm(*from);
  }
  void list_due(unit& u, protocol::timestamp now) {
    if (u.due) return;
    timers_.disarm(u);
    due_.arm(u, now);
    u.due = true;
  }
  void disarm(unit& u) { (std::exchange(u.due, false) ? due_ : timers_).disarm(u); }
  static void detach(const unit& u) noexcept {
    for (Peer* p : u.members) p->unit = nullptr;
  }

  deadlines<unit> timers_;
  deadlines<unit> due_;  ///< by when they became due
};

}  // namespace ilm::inline v0::runtime
