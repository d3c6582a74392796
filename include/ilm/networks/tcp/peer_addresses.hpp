#pragma once

#include <ilm/networks/tcp/address.hpp>
#include <ilm/networks/tcp/resolver.hpp>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::tcp {

/// Where a peer in the address book is to be found, and what earlier attempts showed.
class peer_addresses {
 public:
  struct name_record {
    std::vector<std::string> last_found;  ///< numeric hosts
    std::shared_ptr<const lookup> last;   ///< maybe under way
  };

  const std::vector<address>& entries() const noexcept { return entries_; }
  /// What is known of the names that stay is kept.
  void assign(std::vector<address> entries) {
    entries_ = std::move(entries);
    std::erase_if(names_, [&](const auto& named) {
      return std::none_of(entries_.begin(), entries_.end(),
                          [&](const address& a) { return a.host == named.first; });
    });
  }

  name_record& of_name(const std::string& host) { return names_[host]; }

  /// The numeric address of the last session that was dialed.
  std::optional<address> last_good;

 private:
  std::vector<address> entries_;
  std::map<std::string, name_record> names_;
};

}  // namespace ilm::inline v0::detail::tcp
