#pragma once

#include <ilm/message.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>
#include <utility>

namespace ilm::inline v0::protocol {

/// A set of sequences, kept as the ranges that it consists of: no operation takes longer for a long
/// range than for a short one.
class sequence_set {
 public:
  /// The last sequence of each range, by the first.
  using range_map = std::map<std::uint64_t, std::uint64_t>;

  bool empty() const noexcept { return ranges_.empty(); }
  const range_map& ranges() const noexcept { return ranges_; }

  bool contains(std::uint64_t s) const noexcept { return next_absent(s) != s; }
  /// The first sequence from `s` on that is not in the set.
  std::uint64_t next_absent(std::uint64_t s) const noexcept {
    auto after = ranges_.upper_bound(s);
    return after == ranges_.begin() ? s : std::max(s, std::prev(after)->second + 1);
  }

  /// Adds a range. `added(sequence_range)` is called with each part of it that is new.
  template <class Function>
  void add(const sequence_range& r, Function added) {
    assert(r.first != 0 && r.first <= r.last);
    auto next = ranges_.upper_bound(r.first);
    auto into = next;
    if (next != ranges_.begin() && std::prev(next)->second + 1 >= r.first) {
      --into;
    } else {
      into = ranges_.emplace_hint(next, r.first, r.first - 1);
    }
    while (into->second < r.last) {
      std::uint64_t end = next == ranges_.end() ? r.last : std::min(r.last, next->first - 1);
      added(sequence_range{into->second + 1, end});
      into->second = end;
      if (next != ranges_.end() && next->first == end + 1) {
        into->second = next->second;
        next = ranges_.erase(next);
      }
    }
    assert(invariants_hold());
  }
  void add(std::uint64_t s) {
    add({s, s}, [](const sequence_range&) {});
  }

  void remove(std::uint64_t s) {
    auto at = ranges_.upper_bound(s);
    if (at == ranges_.begin() || (--at)->second < s) return;
    std::uint64_t last = std::exchange(at->second, s - 1);
    auto next = std::next(at);
    if (at->first == s) ranges_.erase(at);
    if (s != last) ranges_.emplace_hint(next, s + 1, last);
    assert(invariants_hold());
  }
  void remove_below(std::uint64_t s) {
    while (!ranges_.empty() && ranges_.begin()->second < s) ranges_.erase(ranges_.begin());
    if (ranges_.empty() || ranges_.begin()->first >= s) return;
    auto shorter = ranges_.extract(ranges_.begin());
    shorter.key() = s;
    ranges_.insert(ranges_.begin(), std::move(shorter));
    assert(invariants_hold());
  }
  void clear() noexcept { ranges_.clear(); }

  /// The first two ranges are in order, and do not touch.
  bool invariants_hold() const noexcept {
    if (ranges_.empty()) return true;
    auto first = ranges_.begin(), second = std::next(first);
    return first->first <= first->second &&
           (second == ranges_.end() || first->second + 1 < second->first);
  }

 private:
  range_map ranges_;
};

}  // namespace ilm::inline v0::protocol
