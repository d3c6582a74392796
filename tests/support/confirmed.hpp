#pragma once

#include <ilm/stored.hpp>

#include <cstdint>

namespace test {

/// What a side may say was delivered, at most.
inline std::uint64_t confirmed(const ilm::cursors& c) { return c.inbox.delivered(); }

}  // namespace test
