#pragma once

// The lines that report.cpp makes tables and charts of.

#include <cstdio>
#include <string>

namespace benchmark {

/// Prints one measured value: of `series` at `x`, in the table of that name. No text has a tab.
inline void print_figure(const std::string& table, const std::string& series, const std::string& x,
                         double value, const std::string& unit, const std::string& note = {}) {
  std::printf("figure\t%s\t%s\t%s\t%.9g\t%s\t%s\n", table.c_str(), series.c_str(), x.c_str(), value,
              unit.c_str(), note.c_str());
  std::fflush(stdout);
}

}  // namespace benchmark
