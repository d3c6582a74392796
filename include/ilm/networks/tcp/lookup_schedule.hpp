#pragma once

#include <ilm/networks/tcp/limits.hpp>

#include <cassert>
#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace ilm::inline v0::detail::tcp {

/// Which names are looked up at a time. Beyond the bounds names wait in the order of their
/// requests. A name is slow if its last look-up took too long, or the one under way does: slow
/// names have a bound of their own and come last, so that they leave room for the others.
class lookup_schedule {
 public:
  /// Of a name that neither waits nor is being looked up.
  void request(std::string host, bool slow) {
    assert(!running_.contains(host));
    (slow ? slow_ : prompt_).push_back(std::move(host));
  }

  /// The next name to look up, if one may begin now.
  std::optional<std::string> poll() {
    if (running_.size() >= lookup_limit) return std::nullopt;
    std::size_t prompt_running = running_.size() - slow_running_;
    if (!prompt_.empty() && prompt_running < prompt_lookup_limit) return start(prompt_, false);
    if (!slow_.empty() && slow_running_ < slow_lookup_limit) return start(slow_, true);
    return std::nullopt;
  }

  /// The look-up of the name, which has begun, takes too long.
  void handle_delay(const std::string& host) {
    auto at = running_.find(host);
    assert(at != running_.end());
    if (!std::exchange(at->second, true)) ++slow_running_;
  }

  void complete(const std::string& host) {
    auto at = running_.find(host);
    assert(at != running_.end());
    if (at->second) --slow_running_;
    running_.erase(at);
  }

 private:
  std::string start(std::deque<std::string>& from, bool slow) {
    std::string host = std::move(from.front());
    from.pop_front();
    running_.emplace(host, slow);
    if (slow) ++slow_running_;
    assert(running_.size() <= lookup_limit && slow_running_ <= running_.size());
    return host;
  }

  std::deque<std::string> prompt_;
  std::deque<std::string> slow_;
  std::map<std::string, bool> running_;  ///< and whether each is among the slow
  std::size_t slow_running_ = 0;
};

}  // namespace ilm::inline v0::detail::tcp
