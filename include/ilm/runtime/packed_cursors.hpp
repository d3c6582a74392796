#pragma once

#include <ilm/runtime/packed_numbers.hpp>
#include <ilm/stored.hpp>

#include <cassert>

namespace ilm::inline v0::runtime {

/// The cursors of a peer in less than half of their size, or none.
class packed_cursors {
 public:
  packed_cursors() = default;
  explicit packed_cursors(const cursors& c) : numbers_(c.to_numbers()) { assert(unpack() == c); }

  explicit operator bool() const noexcept { return bool(numbers_); }

  /// The cursors; there must be some.
  cursors unpack() const noexcept {
    cursors::numbers all{};
    numbers_.unpack(all);
    return cursors::from_numbers(all);
  }

 private:
  packed_numbers numbers_;
};

}  // namespace ilm::inline v0::runtime
