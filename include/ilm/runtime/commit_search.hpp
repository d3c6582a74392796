#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <optional>
#include <utility>

namespace ilm::inline v0::runtime {

/// Finds which of the changes of a batch the store refuses. The batch is tried as a whole; where
/// that fails, from its front, one change at a time until the store takes one. From then on a try
/// that is taken doubles the size of the next one, and one that is refused halves it, down to the
/// change that is at fault. So each is found soon, however many there are. A search ends early
/// after some refusals: the rest is for the next batch.
class commit_search {
 public:
  /// The positions from `first` to before `last`.
  struct range {
    std::size_t size() const noexcept { return last - first; }

    std::size_t first = 0;
    std::size_t last = 0;
  };

  /// Of `all` positions, the first `together` are searched, and then each other one is tried
  /// alone. The first try has `fresh` of them: if that is not all, the search goes on with those
  /// that had no try in one before it, in a store that takes some. With `to_the_end`, only a store
  /// that takes nothing ends it early. After a first try that failed, positions may stand for
  /// others.
  void start(std::size_t fresh, std::size_t together, std::size_t all, bool to_the_end,
             protocol::timestamp now) {
    assert(ended() && fresh <= together && together <= all);
    *this = {};
    together_ = together;
    all_ = all;
    size_ = std::max<std::size_t>(fresh, 1);
    first_ = fresh > 0;
    works_ = fresh < together;
    to_the_end_ = to_the_end;
    began_ = now;
    assert(invariants_hold());
  }

  /// The next try; then `handle_stored` or `handle_failed`. None at the end.
  std::optional<range> next(protocol::timestamp now) {
    assert(trying_.size() == 0);
    if (at_ < together_ && given_up(now)) at_ = together_;
    if (at_ == all_) return std::nullopt;
    std::size_t size = at_ < together_ ? std::min(size_, together_ - at_) : 1;
    trying_ = {at_, at_ + size};
    assert(invariants_hold());
    return trying_;
  }

  void handle_stored() noexcept {
    assert(trying_.size() > 0);
    works_ = stored_ = true;
    at_ = trying_.last;
    bool fresh = std::exchange(first_, false);
    taken_ = fresh ? 0 : taken_ + trying_.size();
    size_ = fresh ? 1 : 2 * trying_.size();
    if (at_ < refused_end_) size_ = std::min(size_, half(refused_end_ - at_));
    trying_ = {};
    assert(invariants_hold());
  }
  void handle_failed() noexcept {
    assert(trying_.size() > 0);
    ++failures_;
    bool first = std::exchange(first_, false);
    if (trying_.size() > 1) {
      refused_end_ = first ? together_ : trying_.last;
      size_ = stored_ ? half(trying_.size()) : 1;
    } else {
      at_ = refused_end_ = trying_.last;
      size_ = std::max<std::size_t>(2 * taken_, 1);
      taken_ = 0;
    }
    trying_ = {};
    assert(invariants_hold());
  }
  /// The store would have taken it, and shall not: that is for the next batch, as is all behind it.
  void handle_set_aside() noexcept {
    assert(trying_.size() > 0);
    works_ = true;
    trying_ = {};
    handle_stop();
    assert(invariants_hold());
  }
  /// Nothing more is to be tried.
  void handle_stop() noexcept { at_ = all_; }

  /// Whether the store takes anything.
  bool store_works() const noexcept { return works_; }
  bool ended() const noexcept { return at_ == all_ && trying_.size() == 0; }

 private:
  static std::size_t half(std::size_t size) noexcept { return std::max<std::size_t>(size / 2, 1); }

  /// The batch and two of its changes have their try, however slow the store is.
  bool given_up(protocol::timestamp now) const noexcept {
    if (failures_ < fewest_refusals || (stored_ && to_the_end_)) return false;
    return failures_ >= most_refusals || now - began_ >= longest_search;
  }

  bool invariants_hold() const noexcept {
    return at_ <= all_ && together_ <= all_ && refused_end_ <= all_ && trying_.last <= all_ &&
           size_ > 0;
  }

  std::size_t together_ = 0;
  std::size_t all_ = 0;
  std::size_t at_ = 0;           ///< those before it were tried
  std::size_t size_ = 0;         ///< of the next try
  std::size_t refused_end_ = 0;  ///< of those between `at_` and it one is refused, if there are any
  std::size_t taken_ = 0;        ///< how many the store took since the last that it refused alone
  range trying_;
  protocol::timestamp began_{};
  unsigned failures_ = 0;
  bool to_the_end_ = false;
  bool first_ = false;  ///< the next try is that of the fresh ones
  bool works_ = false;
  bool stored_ = false;  ///< any of these
};

}  // namespace ilm::inline v0::runtime
