#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <vector>

namespace ilm::detail::tcp {

using byte_view = std::span<const std::byte>;
using byte_string = std::vector<std::byte>;
using clock = std::chrono::steady_clock;

}  // namespace ilm::detail::tcp
