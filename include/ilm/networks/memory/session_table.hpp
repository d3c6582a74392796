#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

namespace ilm::inline v0::detail {

/// Which pairs of peers have a session, and which pairs must have none. Peers are numbers.
class session_table {
 public:
  using peer = std::uint32_t;

  /// The number of the session; 0 if there is none.
  std::uint64_t find(peer a, peer b) const {
    auto at = open_.find(pair_of(a, b));
    return at == open_.end() ? 0 : at->second;
  }

  /// False if the pair is cut.
  bool open(peer a, peer b) {
    if (cut_.contains(pair_of(a, b))) return false;
    open_[pair_of(a, b)] = ++last_;
    return true;
  }

  /// False if there was none.
  bool close(peer a, peer b) { return open_.erase(pair_of(a, b)) != 0; }

  void cut(peer a, peer b) { cut_.insert(pair_of(a, b)); }
  void mend(peer a, peer b) { cut_.erase(pair_of(a, b)); }

 private:
  static std::pair<peer, peer> pair_of(peer a, peer b) { return std::minmax(a, b); }

  std::map<std::pair<peer, peer>, std::uint64_t> open_;
  std::set<std::pair<peer, peer>> cut_;
  std::uint64_t last_ = 0;
};

}  // namespace ilm::inline v0::detail
