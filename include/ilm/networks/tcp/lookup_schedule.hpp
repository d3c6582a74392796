#pragma once

#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Which names are looked up at a time. Beyond the bounds names wait in the order of their
/// requests. A look-up that takes longer than `patience` is late, and makes room for another one.
/// Names whose last look-up was late come last, and begin only while few are late, so that they
/// take no room from the others.
class lookup_schedule {
 public:
  explicit lookup_schedule(clock::duration patience) : patience_(patience) {}

  /// Of a name that neither waits nor is being looked up.
  void request(std::string host, bool slow) {
    assert(!running_.contains(host));
    (slow ? slow_ : prompt_).push_back(std::move(host));
  }

  /// The next name to look up, if one may begin now.
  std::optional<std::string> poll(clock::time_point now) {
    std::size_t late = count_late(now);
    if (!prompt_.empty() && running_.size() - late < prompt_lookup_limit) {
      return start(prompt_, now);
    }
    if (!slow_.empty() && late < slow_lookup_limit) return start(slow_, now - patience_);
    return std::nullopt;
  }

  void complete(const std::string& host) {
    assert(running_.contains(host));
    running_.erase(host);
  }

 private:
  std::size_t count_late(clock::time_point now) const {
    return static_cast<std::size_t>(
        std::count_if(running_.begin(), running_.end(),
                      [&](const auto& r) { return now - r.second >= patience_; }));
  }

  std::string start(std::deque<std::string>& from, clock::time_point counts_from) {
    std::string host = std::move(from.front());
    from.pop_front();
    running_.emplace(host, counts_from);
    return host;
  }

  clock::duration patience_;
  std::deque<std::string> prompt_;
  std::deque<std::string> slow_;
  /// And when each began. One of a slow name counts as late from its begin on.
  std::map<std::string, clock::time_point> running_;
};

}  // namespace ilm::inline v0::detail::tcp
