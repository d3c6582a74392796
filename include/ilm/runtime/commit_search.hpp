#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>

#include <cassert>
#include <cstddef>
#include <deque>
#include <optional>

namespace ilm::inline v0::runtime {

/// Finds which of the changes of a batch the store refuses. The batch is tried as a whole; one that
/// fails is tried again in halves, and these in theirs. Where the store takes none of them for a
/// while, it is the store that fails: the search is given up.
class commit_search {
 public:
  /// The positions from `first` to before `last`.
  struct range {
    std::size_t size() const noexcept { return last - first; }

    std::size_t first = 0;
    std::size_t last = 0;
  };

  /// Of `all` positions, the first `together` are tried together, and each other one alone.
  void start(std::size_t together, std::size_t all, protocol::timestamp now) {
    assert(ended() && together <= all);
    stored_ = false;
    failures_ = 0;
    began_ = now;
    if (together > 0) waiting_.push_back({0, together});
    for (std::size_t at = together; at < all; ++at) waiting_.push_back({at, at + 1});
  }

  /// The next try; then `handle_stored` or `handle_failed`. None at the end: changes that were not
  /// tried alone, and are not stored, failed with the store.
  std::optional<range> next(protocol::timestamp now) {
    assert(trying_.size() == 0);
    if (given_up(now)) waiting_.clear();
    if (waiting_.empty()) return std::nullopt;
    trying_ = waiting_.front();
    waiting_.pop_front();
    return trying_;
  }

  void handle_stored() noexcept {
    assert(trying_.size() > 0);
    trying_ = {};
    stored_ = true;
  }
  void handle_failed() {
    assert(trying_.size() > 0);
    ++failures_;
    std::size_t middle = trying_.first + trying_.size() / 2;
    if (trying_.size() > 1) {
      waiting_.push_back({trying_.first, middle});
      waiting_.push_back({middle, trying_.last});
    }
    trying_ = {};
  }
  /// Nothing more is to be tried.
  void handle_stop() noexcept { waiting_.clear(); }

  /// Whether the store took any of them.
  bool any_stored() const noexcept { return stored_; }
  bool ended() const noexcept { return waiting_.empty() && trying_.size() == 0; }

 private:
  /// Both halves of the batch have their try, however slow the store is.
  bool given_up(protocol::timestamp now) const noexcept {
    if (stored_ || failures_ < fewest_refusals) return false;
    return failures_ >= most_refusals || now - began_ >= longest_search;
  }

  std::deque<range> waiting_;
  range trying_;
  protocol::timestamp began_{};
  unsigned failures_ = 0;
  bool stored_ = false;
};

}  // namespace ilm::inline v0::runtime
