#pragma once

#include <chrono>
#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <vector>

namespace ilm::inline v0::detail::tcp {

using byte_view = std::span<const std::byte>;
using byte_string = std::vector<std::byte>;
using clock = std::chrono::steady_clock;

/// Orders ids as text: for vectors of bytes, g++ 12 warns of an overflow that cannot be.
struct id_less {
  bool operator()(const byte_string& a, const byte_string& b) const noexcept {
    auto text = [](const byte_string& id) {
      return std::string_view(reinterpret_cast<const char*>(id.data()), id.size());
    };
    return text(a) < text(b);
  }
};

template <class T>
using map_by_id = std::map<byte_string, T, id_less>;

}  // namespace ilm::inline v0::detail::tcp
