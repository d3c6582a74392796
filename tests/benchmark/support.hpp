#pragma once

// Shared by the benchmarks.

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

namespace benchmark {

using clock_type = std::chrono::steady_clock;

inline double seconds_since(clock_type::time_point start) {
  return std::chrono::duration<double>(clock_type::now() - start).count();
}

/// A line of /proc/self/status in KiB, such as "VmRSS:"; 0 where there is none.
inline long memory(std::string_view line) {
  std::ifstream file("/proc/self/status");
  for (std::string word; file >> word;) {
    if (word == line) {
      long kibibytes = 0;
      file >> kibibytes;
      return kibibytes;
    }
  }
  return 0;
}

/// The options on the command line.
class arguments {
 public:
  arguments(int count, char** values) : count_(count), values_(values) {}

  bool has(std::string_view name) const {
    for (int i = 1; i < count_; ++i) {
      if (values_[i] == name) return true;
    }
    return false;
  }
  std::string text(std::string_view name, const std::string& usual) const {
    for (int i = 1; i + 1 < count_; ++i) {
      if (values_[i] == name) return values_[i + 1];
    }
    return usual;
  }
  std::uint64_t number(std::string_view name, std::uint64_t usual) const {
    return std::strtoull(text(name, std::to_string(usual)).c_str(), nullptr, 10);
  }

 private:
  int count_;
  char** values_;
};

}  // namespace benchmark
