#pragma once

#include "../support/program.hpp"
#include "../support/terminal.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iomanip>
#include <iostream>
#include <optional>
#include <sstream>
#include <string>

inline std::string megabytes(std::uint64_t bytes) {
  std::ostringstream text;
  text << std::fixed << std::setprecision(1) << static_cast<double>(bytes) / 1e6;
  return text.str();
}

/// A bar on a terminal, and a line now and then elsewhere.
class progress {
 public:
  progress(const std::string& name, std::uint64_t total)
      : name_(ilm::printable(name)), total_(total) {}
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  /// The next line begins a row, also where the bar is not full.
  ~progress() {
    if (tty_ && row_is_open_) std::cout << std::endl;
  }

  void show(std::uint64_t done) {
    auto now = std::chrono::steady_clock::now();
    if (!first_) first_ = done;
    if (done < total_ && now < next_) return;
    next_ = now + (std::chrono::milliseconds(tty_ ? 100 : 2000));
    double part = total_ == 0 ? 1 : static_cast<double>(done) / static_cast<double>(total_);
    if (tty_) std::cout << "\r\x1b[K\x1b[?7l";  // the terminal cuts off the end of long rows
    std::cout << name_ << ' ' << bar(part) << std::setw(4) << static_cast<int>(part * 100) << "%  "
              << megabytes(done) << " of " << megabytes(total_) << " MB";
    double seconds = std::chrono::duration<double>(now - started_).count();
    if (seconds > 0.5) {
      auto gained = static_cast<double>(done - std::min(done, *first_));
      std::cout << "  " << megabytes(static_cast<std::uint64_t>(gained / seconds)) << " MB/s";
    }
    if (tty_) std::cout << "\x1b[?7h";
    row_is_open_ = tty_ && done < total_;
    if (!row_is_open_) std::cout << '\n';
    example::flush_output();
  }

  /// Prints a line beside the bar.
  static void note(const std::string& text) {
    example::say((tty_ ? "\r\x1b[K--- " : "--- ") + text);
  }

 private:
  static std::string bar(double part) {
    constexpr std::size_t width = 20;
    if (!tty_) return "";
    auto full = static_cast<std::size_t>(part * width);
    return '[' + std::string(full, '#') + std::string(width - full, '.') + ']';
  }

  inline static const bool tty_ = example::output_is_terminal();
  std::string name_;
  std::uint64_t total_;
  bool row_is_open_ = false;
  std::optional<std::uint64_t> first_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point next_{};
};
