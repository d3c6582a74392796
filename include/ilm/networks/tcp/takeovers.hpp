#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>

namespace ilm::inline v0::detail::tcp {

/// The names whose session went from one process to another while the first one was alive: two
/// processes run under one name, and would take the session from each other for ever. The wait
/// until the next takeover doubles each time.
class takeovers {
 public:
  /// Whether the session under `name` is not to be taken over yet.
  bool refuses(const byte_string& name, clock::time_point now) const {
    auto at = records_.find(name);
    return at != records_.end() && now < at->second.until;
  }

  /// A session under `name` was, or was to be, taken over from a living process.
  void record(const byte_string& name, clock::time_point now) {
    std::erase_if(records_,
                  [now](const auto& e) { return now - e.second.until >= takeover_memory; });
    if (!records_.contains(name) && records_.size() == takeover_limit) forget_one();
    entry& e = records_[name];
    e.wait = std::clamp<clock::duration>(2 * e.wait, minimum_takeover_wait, maximum_takeover_wait);
    e.until = now + e.wait;
    assert(records_.size() <= takeover_limit);
  }

 private:
  struct entry {
    clock::duration wait{};
    clock::time_point until{};
  };

  void forget_one() {
    records_.erase(std::min_element(records_.begin(), records_.end(), [](auto& a, auto& b) {
      return a.second.until < b.second.until;
    }));
  }

  map_by_id<entry> records_;
};

}  // namespace ilm::inline v0::detail::tcp
