#pragma once

#include "oracle.hpp"
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

/// How far a process has come, as its driver knows.
enum class phase : std::uint8_t { down, starting, opening, running, ending };
inline constexpr std::size_t phases = 5;

std::string_view name_of(phase p) noexcept;

/// What was done to the peers, and what came of it.
struct tally {
  std::array<std::uint64_t, phases> kills{};  ///< by the phase of who was killed
  std::uint64_t together = 0;                 ///< times when all were killed at once
  std::array<std::uint64_t, cut_kinds> cuts{};
  std::uint64_t put_back = 0;
  std::uint64_t graceful = 0;  ///< shutdowns that came to their end
  std::uint64_t starts = 0, failed_starts = 0;
  std::chrono::milliseconds slowest_start{0};
  std::uint64_t again = 0;  ///< messages handed over again, within the window, and skipped
  std::map<std::string, std::uint64_t> events;
  stream_counts messages;
  std::uint64_t complaints = 0;

  std::uint64_t all_kills() const;
  std::uint64_t all_cuts() const;
  bool well() const noexcept { return complaints == 0; }
};

/// A line to see it go, and the table at the end.
void print_progress(std::ostream& out, std::chrono::seconds elapsed, std::uint64_t kills_wanted,
                    const tally& t);
void print_verdict(std::ostream& out, const tally& t);

}  // namespace torture
