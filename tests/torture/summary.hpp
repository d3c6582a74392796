#pragma once

#include "checker.hpp"
#include "proxy.hpp"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>

namespace torture {

/// The phase of a process, as its driver sees it.
enum class phase : std::uint8_t { down, starting, opening, running, ending };
inline constexpr std::size_t phases = 5;

std::string_view name_of(phase p) noexcept;

/// Counts of incidents and of their results.
struct summary {
  std::array<std::uint64_t, phases> kills{};  ///< by the phase of the killed process
  std::uint64_t together = 0;                 ///< times when all were killed at once
  std::array<std::uint64_t, cut_kinds> cuts{};
  std::uint64_t put_back = 0;
  std::uint64_t full_disks = 0;
  std::uint64_t refused_writes = 0;  ///< on full disks, as far as their processes could report them
  std::uint64_t graceful = 0;        ///< shutdowns that came to their end
  std::uint64_t starts = 0, failed_starts = 0;
  std::chrono::milliseconds slowest_start{0};
  std::uint64_t again = 0;  ///< messages delivered again, within the window, and skipped
  std::map<std::string, std::uint64_t> events;
  stream_counts messages;
  std::uint64_t complaints = 0;

  std::uint64_t all_kills() const;
  std::uint64_t all_cuts() const;
  bool well() const noexcept { return complaints == 0; }
};

/// A line of progress, and the table at the end.
void print_progress(std::ostream& out, std::chrono::seconds elapsed, std::uint64_t kills_wanted,
                    const summary& t);
void print_summary(std::ostream& out, const summary& t);

}  // namespace torture
