#pragma once

#include <ilm/protocol/time.hpp>

#include <set>
#include <utility>

namespace ilm::runtime {

/// When each peer wants to be called again. A peer's entry only moves to an earlier time; one that
/// turned out too early is found so when it is due, which costs less than moving it each time.
template <class Peer>
class deadlines {
 public:
  protocol::timestamp earliest() const noexcept {
    return entries_.empty() ? protocol::never : entries_.begin()->first;
  }

  void arm(Peer& p, protocol::timestamp at) {
    if (at >= p.armed) return;
    if (p.armed != protocol::never) entries_.erase({p.armed, &p});
    p.armed = at;
    entries_.emplace(at, &p);
  }

  /// A peer whose time has come, or null.
  Peer* take_due(protocol::timestamp now) {
    if (earliest() > now) return nullptr;
    Peer* p = entries_.begin()->second;
    entries_.erase(entries_.begin());
    p->armed = protocol::never;
    return p;
  }

 private:
  std::set<std::pair<protocol::timestamp, Peer*>> entries_;
};

}  // namespace ilm::runtime
