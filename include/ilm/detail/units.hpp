#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace ilm::inline v0::detail {

/// A time for an error's text, in the largest unit that gives a whole number: "250 ms", "5 s".
inline std::string readable_time(std::chrono::nanoseconds time) {
  constexpr std::array<std::pair<const char*, std::int64_t>, 6> units{{{"h", 3'600'000'000'000},
                                                                       {"min", 60'000'000'000},
                                                                       {"s", 1'000'000'000},
                                                                       {"ms", 1'000'000},
                                                                       {"us", 1'000},
                                                                       {"ns", 1}}};
  if (time == std::chrono::nanoseconds::zero()) return "0 s";
  auto unit = units.begin();
  while (time.count() % unit->second != 0) ++unit;
  return std::to_string(time.count() / unit->second) + ' ' + unit->first;
}

/// A size for an error's text, in the largest unit that gives a whole number: "4 MiB", "999 bytes".
inline std::string readable_size(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> units{" bytes", " KiB", " MiB", " GiB", " TiB"};
  auto unit = units.begin();
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 != units.end()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + (bytes == 1 && unit == units.begin() ? " byte" : *unit);
}

}  // namespace ilm::inline v0::detail
