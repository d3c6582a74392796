#pragma once

// The times that messages take, by a clock that all processes of a machine share.

#include "support.hpp"
#include "table.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace benchmark {

/// The contents of a message of `size` bytes, at least 16, with the time of sending.
inline std::string stamped(std::size_t size) {
  std::string contents(size, 'x');
  std::int64_t now = clock_type::now().time_since_epoch().count();
  std::memcpy(contents.data() + 1, &now, sizeof now);
  return contents;
}

/// Percentiles of the times, in microseconds.
struct percentiles {
  double p50 = 0, p99 = 0, p999 = 0;
};

class latencies {
 public:
  explicit latencies(std::uint64_t count) { all_.reserve(count); }

  void add(const char* contents) {
    std::int64_t sent = 0;
    std::memcpy(&sent, contents + 1, sizeof sent);
    all_.push_back(clock_type::now().time_since_epoch().count() - sent);
  }
  percentiles result() {
    std::sort(all_.begin(), all_.end());
    auto at = [&](std::size_t thousandths) {
      std::size_t index = std::min(all_.size() * thousandths / 1000, all_.size() - 1);
      return all_.empty() ? 0.0 : static_cast<double>(all_[index]) / 1e3;
    };
    return {at(500), at(990), at(999)};
  }

 private:
  std::vector<std::int64_t> all_;  ///< nanoseconds
};

/// A size as people write it.
inline std::string size_text(std::uint64_t bytes) {
  return bytes >= 1024 ? std::to_string(bytes / 1024) + " KiB" : std::to_string(bytes) + " B";
}

/// The rate and the times of messages from `senders`, by the part that is measured.
inline void print_run(const std::string& part, std::uint64_t senders, std::uint64_t size,
                      double rate, const percentiles& took) {
  std::string of = "_" + std::to_string(senders);
  print_figure("rate" + of, part, size_text(size), rate, "messages/s");
  std::string row = part + ", " + size_text(size);
  print_figure("latency" + of, row, "p50", took.p50, "us");
  print_figure("latency" + of, row, "p99", took.p99, "us");
  print_figure("latency" + of, row, "p99.9", took.p999, "us");
}

}  // namespace benchmark
