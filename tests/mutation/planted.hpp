#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <type_traits>
#include <unistd.h>

// Included by the headers of the planted copy (planting.py), in which every defect of mutants.txt
// is a switch. The environment variable ILM_PLANTED holds the name of the one defect that is
// switched on. If ILM_PLANTED_TRACE names a file, each switch that is passed is appended to it,
// once a process.

namespace ilm_mutation {

/// FNV-1a, as in planting.py: a switch keeps its number when the list changes.
constexpr std::uint64_t number_of(const char* name) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  while (*name != 0) hash = (hash ^ static_cast<unsigned char>(*name++)) * 0x100000001b3;
  return hash;
}

inline const std::uint64_t chosen = [] {
  const char* name = std::getenv("ILM_PLANTED");
  return name == nullptr ? 0 : number_of(name);
}();
inline const char* const trace = std::getenv("ILM_PLANTED_TRACE");
/// Open from the begin, for a test may leave the process no descriptor.
inline const int trace_file =
    trace == nullptr ? -1 : ::open(trace, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

/// Appends `defect` to the trace at once, for a process may be killed; errno stays as it is.
inline void append(std::uint64_t defect) noexcept {
  int before = errno;
  std::array<char, 24> line{};
  int size =
      std::snprintf(line.data(), line.size(), "%016llx\n", static_cast<unsigned long long>(defect));
  static_cast<void>(::write(trace_file, line.data(), static_cast<std::size_t>(size)) == size);
  errno = before;
}

/// The defects that were passed: a table with open addressing, several times as large as the list.
inline std::array<std::atomic<std::uint64_t>, 4096> passed{};

inline void note(std::uint64_t defect) noexcept {
  for (std::size_t i = defect % passed.size();; i = (i + 1) % passed.size()) {
    std::uint64_t found = passed[i].load(std::memory_order_relaxed);
    if (found == defect) return;
    if (found == 0 && passed[i].compare_exchange_strong(found, defect)) return append(defect);
    if (found == defect) return;
  }
}

/// Whether this defect is switched on. Never in a constant expression, which has no environment.
constexpr bool planted(std::uint64_t defect) noexcept {
  if (std::is_constant_evaluated()) return false;
  if (trace != nullptr) note(defect);
  return defect == chosen;
}

}  // namespace ilm_mutation
