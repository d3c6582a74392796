#pragma once

#include <ilm/message.hpp>

#include <algorithm>
#include <cstdint>

namespace test {

/// What a side may say was delivered: more than its application consumed, where a history that its
/// store has lost had confirmed it, and the copy that was put back delivers it again.
inline std::uint64_t confirmed(const ilm::cursors& c) {
  return std::max({c.inbox_first, c.advertised_first, c.stream_start}) - 1 + c.stream_offset;
}

}  // namespace test
