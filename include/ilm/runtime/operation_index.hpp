#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>

namespace ilm::inline v0::runtime {

/// Where the callers that wait stand, by the ids of their operations: none is searched for.
template <class Place>
class operation_index {
 public:
  /// An operation of id 0 cannot be cancelled, and has no entry.
  void add(std::uint64_t id, Place place) {
    if (id != 0) places_.emplace_hint(places_.end(), id, std::move(place));
  }
  void remove(std::uint64_t id) noexcept { places_.erase(id); }
  /// Removes the entry, if there is one.
  std::optional<Place> take(std::uint64_t id) {
    auto at = places_.find(id);
    if (at == places_.end()) return std::nullopt;
    std::optional<Place> place(std::move(at->second));
    places_.erase(at);
    return place;
  }
  void clear() noexcept { places_.clear(); }
  std::size_t size() const noexcept { return places_.size(); }

 private:
  std::map<std::uint64_t, Place> places_;
};

}  // namespace ilm::inline v0::runtime
