#pragma once

#include <ilm/networks/tcp/types.hpp>
#include <ilm/networks/tcp/unauthenticated_places.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <map>
#include <set>

namespace ilm::inline v0::detail::tcp {

/// The peers with a session that are not in the address book, by the address group that they
/// connected from.
class strangers {
 public:
  using names = std::set<byte_string, id_less>;

  bool empty() const noexcept { return groups_.empty(); }
  /// How many there are from `g`, besides `name`.
  std::size_t count_besides(const byte_string& name, const address_group& g) const {
    auto at = groups_.find(g);
    return at == groups_.end() ? 0 : at->second.size() - at->second.count(name);
  }
  /// Those of the group that has most.
  const names& crowd() const {
    assert(!empty());
    return std::max_element(groups_.begin(), groups_.end(),
                            [](auto& a, auto& b) { return a.second.size() < b.second.size(); })
        ->second;
  }

  void add(const byte_string& name, const address_group& from) {
    assert(!from_.contains(name));
    from_.emplace(name, from);
    try {
      groups_[from].insert(name);
    } catch (...) {
      remove(name);
      throw;
    }
  }
  void remove(const byte_string& name) noexcept {
    auto at = from_.find(name);
    if (at == from_.end()) return;
    auto group = groups_.find(at->second);
    if (group != groups_.end()) {
      group->second.erase(name);
      if (group->second.empty()) groups_.erase(group);
    }
    from_.erase(at);
  }

 private:
  map_by_id<address_group> from_;
  std::map<address_group, names> groups_;
};

}  // namespace ilm::inline v0::detail::tcp
