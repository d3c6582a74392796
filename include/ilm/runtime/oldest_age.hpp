#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/runtime/bounds.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace ilm::inline v0::runtime {

/// How long the oldest message of an outbox waits, in bounded memory: one mark a batch, and where
/// there are too many, neighbours merge and keep the older time.
class oldest_age {
 public:
  void add(std::uint64_t last, protocol::timestamp now) {
    assert(marks_.empty() || (last > marks_.back().last && now >= marks_.back().since));
    if (marks_.size() == most_age_marks) merge();
    marks_.push_back(mark{last, now});
    assert(invariants_hold());
  }
  void erase_to(std::uint64_t sequence) {
    while (!marks_.empty() && marks_.front().last <= sequence) marks_.pop_front();
  }
  protocol::duration at(protocol::timestamp now) const {
    return marks_.empty() ? protocol::duration::zero() : now - marks_.front().since;
  }

 private:
  struct mark {
    std::uint64_t last;
    protocol::timestamp since;
  };

  bool invariants_hold() const noexcept {
    if (marks_.empty()) return true;
    return marks_.size() <= most_age_marks && marks_.front().last <= marks_.back().last &&
           marks_.front().since <= marks_.back().since;
  }

  void merge() {
    std::deque<mark> merged;
    for (std::size_t i = 0; i + 1 < marks_.size(); i += 2) {
      merged.push_back(mark{marks_[i + 1].last, marks_[i].since});
    }
    marks_.swap(merged);
  }

  std::deque<mark> marks_;
};

}  // namespace ilm::inline v0::runtime
