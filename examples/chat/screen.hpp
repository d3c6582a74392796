#pragma once

#include "../support/program.hpp"
#include "../support/terminal.hpp"
#include "transcript.hpp"

#include <ilm/event.hpp>
#include <ilm/printable.hpp>

#include <algorithm>
#include <clocale>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <utility>
#include <wchar.h>

/// Prints lines above the one that is being typed, and marks lines in place. Where there is no
/// terminal, it reads and prints plain lines.
class screen {
 public:
  screen() {
    if (!tty_) return;
    std::setlocale(LC_CTYPE, "");
    tcgetattr(STDIN_FILENO, &before_);
    termios now = before_;
    now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
    draw_typed();
  }
  ~screen() {
    if (!tty_) return;
    std::cout << "\r\x1b[K" << std::flush;
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  screen(const screen&) = delete;
  screen& operator=(const screen&) = delete;

  /// A line by the chat itself.
  void note(const std::string& text) { print(dim, "--- " + text, ""); }

  void print(const line& l, bool on_its_way) {
    std::string text = ": " + ilm::printable(l.text);
    if (!l.own) return print(cyan, ilm::printable_id(l.peer), text);
    if (on_its_way) row_of_[{l.peer, l.number}] = rows_;
    print(on_its_way ? yellow : green, on_its_way ? "…" : "✓", ' ' + label(l) + text);
  }

  /// The peer has an own line: marks it. If the line has left the screen, or the window has changed
  /// since, prints a new line instead.
  void mark(const line& l) {
    watch_size();
    auto found = row_of_.find({l.peer, l.number});
    std::size_t row = found == row_of_.end() ? 0 : found->second;
    bool seen = found != row_of_.end() && row >= certain_from_ && rows_ - row < height_;
    if (found != row_of_.end()) row_of_.erase(found);
    if (!tty_ || !seen) return print(green, "✓", ' ' + label(l));
    // Up to the row, and back to where the cursor was.
    std::cout << "\0337\033[" << rows_ - row << "A\r" << coloured(green, "✓") << "\0338";
    example::flush_output();
  }

  /// Takes input a byte at a time; returns a line when it is complete.
  std::optional<std::string> feed(char c) {
    if (c == '\n') {
      std::string entered = std::exchange(typed_, {});
      if (tty_) draw_typed();
      return entered;
    }
    if (tty_) {
      edit(c);
      draw_typed();
    } else if (typed_.size() <= longest_line) {
      typed_ += c;
    }
    return std::nullopt;
  }

  /// In bytes. Of a longer one, so much is kept that it can be known for one.
  static constexpr std::size_t longest_line = 4000;

  /// Ctrl-D on an empty line.
  bool ended() const { return ended_; }
  bool is_terminal() const { return tty_; }

 private:
  // Attributes of ECMA-48, 8.3.117 (SGR).
  static constexpr std::string_view dim = "2", green = "32", yellow = "33", cyan = "36";

  std::string coloured(std::string_view attribute, const std::string& text) const {
    if (!colours_) return text;
    return "\x1b[" + std::string(attribute) + 'm' + text + "\x1b[0m";
  }
  void print(std::string_view attribute, const std::string& head, const std::string& rest) {
    if (tty_) std::cout << "\r\x1b[K";
    example::say(coloured(attribute, head) + rest);
    if (!tty_) return;
    watch_size();
    rows_ += std::max<std::size_t>(1, (columns_of(head + rest) + width_ - 1) / width_);
    draw_typed();
  }

  static std::string label(const line& l) { return std::to_string(l.number) + " to " + l.peer; }

  static std::size_t columns_of(const std::string& text) {
    std::wstring wide(text.size() + 1, L'\0');
    std::size_t size = std::mbstowcs(wide.data(), text.c_str(), wide.size());
    int columns = size == static_cast<std::size_t>(-1) ? -1 : ::wcswidth(wide.data(), size);
    return columns < 0 ? text.size() : static_cast<std::size_t>(columns);
  }

  static bool continues(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

  void edit(char c) {
    if (escape_) {
      // An arrow or function key, which moves nothing here.
      escape_ = c == '[' || c == 'O' || c < '@';
    } else if (c == '\x1b') {
      escape_ = true;
    } else if (c == '\x7f' || c == '\b') {
      while (!typed_.empty() && continues(typed_.back())) typed_.pop_back();
      if (!typed_.empty()) typed_.pop_back();
    } else if (c == '\x15') {  // Ctrl-U
      typed_.clear();
    } else if (c == '\x04') {  // Ctrl-D
      ended_ = ended_ || typed_.empty();
    } else if (static_cast<unsigned char>(c) >= ' ' && typed_.size() <= longest_line) {
      typed_ += c;
    }
  }

  /// Draws the end of the typed text, as much as fits into a row.
  void draw_typed() {
    constexpr std::size_t prompt = 3;  // "> ", and a place for the cursor
    std::string_view tail = typed_;
    // Of long ones only the end is looked at: a character has at most four bytes.
    if (tail.size() > 4 * width_) tail.remove_prefix(tail.size() - 4 * width_);
    while (!tail.empty() && continues(tail.front())) tail.remove_prefix(1);
    while (!tail.empty() && columns_of(std::string(tail)) + prompt > width_) {
      do tail.remove_prefix(1);
      while (!tail.empty() && continues(tail.front()));
    }
    std::cout << "\r\x1b[K" << (width_ < prompt ? "" : "> ") << tail;
    example::flush_output();
  }

  void watch_size() {
    winsize size{};
    if (!tty_ || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return;
    if (size.ws_col != width_ || size.ws_row != height_) certain_from_ = rows_;
    width_ = size.ws_col;
    height_ = size.ws_row;
  }

  bool tty_ = isatty(STDIN_FILENO) != 0 && example::output_is_terminal();
  bool colours_ = example::output_has_colours();
  termios before_{};
  std::string typed_;
  bool escape_ = false;
  bool ended_ = false;
  std::size_t width_ = 80, height_ = 24;
  /// Rows printed so far, and the first since the size of the window changed.
  std::size_t rows_ = 0, certain_from_ = 0;
  std::map<std::pair<std::string, std::uint64_t>, std::size_t> row_of_;
};
