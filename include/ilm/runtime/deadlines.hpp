#pragma once

#include <ilm/protocol/time.hpp>

#include <cassert>
#include <cstdint>
#include <map>
#include <utility>

namespace ilm::inline v0::runtime {

/// When each peer wants to be called again. A peer's entry only moves to an earlier time; one that
/// turned out too early is found so when it is due, which costs less than moving it each time.
/// Peers of one time come in the order in which they were armed: where they lie in memory must not
/// influence the order of events. The peer's member `At` is `never` while it has no entry, and `As`
/// tells those of one time apart.
template <class Peer, protocol::timestamp Peer::*At = &Peer::armed,
          std::uint64_t Peer::*As = &Peer::armed_as>
class deadlines {
 public:
  protocol::timestamp earliest() const noexcept {
    return entries_.empty() ? protocol::never : entries_.begin()->first.first;
  }

  void arm(Peer& p, protocol::timestamp at) {
    if (at >= p.*At) return;
    if (p.*At != protocol::never) entries_.erase({p.*At, p.*As});
    p.*At = at;
    p.*As = ++count_;
    entries_.emplace(std::pair(at, count_), &p);
    assert(invariants_hold());
  }

  /// The peer is not called again.
  void disarm(Peer& p) {
    if (p.*At == protocol::never) return;
    entries_.erase({p.*At, p.*As});
    p.*At = protocol::never;
    assert(invariants_hold());
  }

  /// A peer whose time has come, or null.
  Peer* take_due(protocol::timestamp now) {
    if (entries_.empty() || earliest() > now) return nullptr;
    assert(invariants_hold());
    Peer* p = entries_.begin()->second;
    entries_.erase(entries_.begin());
    p->*At = protocol::never;
    return p;
  }

 private:
  /// The first entry is the one that its peer has.
  bool invariants_hold() const noexcept {
    if (entries_.empty()) return true;
    const auto& [key, p] = *entries_.begin();
    return entries_.size() <= count_ && key == std::pair(p->*At, p->*As);
  }

  std::map<std::pair<protocol::timestamp, std::uint64_t>, Peer*> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace ilm::inline v0::runtime
