#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// The transaction of a memory_backend, for an effect: values of the application under keys, in the
/// store.
class memory_transaction {
 public:
  using values = std::map<std::string, std::string, std::less<>>;

  /// Changes `all` in place.
  explicit memory_transaction(values& all) noexcept : all_(all) {}
  memory_transaction(const memory_transaction&) = delete;
  memory_transaction& operator=(const memory_transaction&) = delete;

  /// None if there is no such key.
  std::optional<std::string> get(std::string_view key) const {
    auto at = all_.find(key);
    return at == all_.end() ? std::nullopt : std::optional(at->second);
  }
  void put(std::string key, std::string value) {
    keep(key);
    all_.insert_or_assign(std::move(key), std::move(value));
  }
  void erase(const std::string& key) {
    keep(key);
    all_.erase(key);
  }

  // For the store; a guard of ilm::effects.

  void set() noexcept { set_ = before_.size(); }
  void release() noexcept {}
  void roll_back() { undo(set_); }
  void roll_back_all() { undo(0); }

 private:
  void keep(const std::string& key) { before_.emplace_back(key, get(key)); }
  void undo(std::size_t left) {
    for (; before_.size() > left; before_.pop_back()) {
      auto& [key, value] = before_.back();
      if (value) {
        all_[key] = *std::move(value);
      } else {
        all_.erase(key);
      }
    }
  }

  values& all_;
  std::vector<std::pair<std::string, std::optional<std::string>>> before_;  ///< the changes
  std::size_t set_ = 0;
};

}  // namespace ilm::inline v0
