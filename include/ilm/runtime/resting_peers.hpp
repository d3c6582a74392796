#pragma once

#include <ilm/protocol/time.hpp>

#include <cassert>
#include <cstdint>
#include <map>
#include <utility>

namespace ilm::inline v0::runtime {

/// Peers that may be left out of memory, and when to see whether they still may. `Peer` has the
/// members `rests_until`, which is `never` for one that is not listed, and `rests_as`.
template <class Peer>
class resting_peers {
 public:
  protocol::timestamp deadline() const noexcept {
    return entries_.empty() ? protocol::never : entries_.begin()->first.first;
  }

  void add(Peer& p, protocol::timestamp at) {
    assert(p.rests_until == protocol::never && at != protocol::never);
    entries_.emplace(std::pair(at, ++count_), &p);
    p.rests_until = at;
    p.rests_as = count_;
  }
  void remove(Peer& p) noexcept {
    if (p.rests_until == protocol::never) return;
    entries_.erase({std::exchange(p.rests_until, protocol::never), p.rests_as});
  }

  /// A peer whose time has come, which is listed no more; null if there is none.
  Peer* take_due(protocol::timestamp now) {
    if (deadline() > now || entries_.empty()) return nullptr;
    Peer* p = entries_.begin()->second;
    remove(*p);
    return p;
  }

 private:
  std::map<std::pair<protocol::timestamp, std::uint64_t>, Peer*> entries_;
  std::uint64_t count_ = 0;
};

}  // namespace ilm::inline v0::runtime
