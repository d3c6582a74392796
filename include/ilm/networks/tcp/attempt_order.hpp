#pragma once

#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/limits.hpp>
#include <ilm/networks/tcp/types.hpp>

#include <algorithm>
#include <cassert>
#include <optional>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// The order and the times in which the addresses of a peer are dialed (RFC 8305, 4 and 5): at
/// intervals of `attempt_delay`, or at once when an attempt has failed; the families of addresses
/// take turns; the preferred address goes first. Addresses may be added at any time.
class attempt_order {
 public:
  /// The address that is dialed first, once it is added.
  void prefer(std::optional<address> a) { preferred_ = std::move(a); }

  /// Adds a numeric address, unless it was added before.
  void add(address a) {
    assert(a.port != 0);
    auto known = [&](const std::vector<address>& all) {
      return std::find(all.begin(), all.end(), a) != all.end();
    };
    if (known(pending_) || known(dialed_)) return;
    pending_.push_back(std::move(a));
  }

  /// The address to dial now, if one is due.
  std::optional<address> poll(clock::time_point now) {
    if (pending_.empty() || now < due_at_) return std::nullopt;
    auto next = std::find_if(pending_.begin(), pending_.end(),
                             [&](const address& a) { return preferred_ == a; });
    if (next == pending_.end()) {
      next = std::find_if(pending_.begin(), pending_.end(), [&](const address& a) {
        return dialed_.empty() || is_ipv6(a) != is_ipv6(dialed_.back());
      });
    }
    if (next == pending_.end()) next = pending_.begin();
    dialed_.push_back(std::move(*next));
    pending_.erase(next);
    due_at_ = now + attempt_delay;
    return dialed_.back();
  }

  void handle_failed_attempt() { due_at_ = {}; }

  /// Whether every address that was added has been dialed.
  bool empty() const noexcept { return pending_.empty(); }
  /// When the next address is due: never, if there is none.
  clock::time_point due_at() const noexcept { return empty() ? clock::time_point::max() : due_at_; }

 private:
  std::optional<address> preferred_;
  std::vector<address> pending_;
  std::vector<address> dialed_;
  clock::time_point due_at_{};
};

}  // namespace ilm::inline v0::detail::tcp
