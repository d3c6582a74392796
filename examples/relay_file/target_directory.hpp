#pragma once

#include "../support/program.hpp"
#include "file.hpp"
#include "piece.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

/// Of a name in a directory; a file system with less says so.
constexpr std::size_t longest_name = 255;

/// The front of a name that gets `ending`, as much as fits; a character is not cut in two.
inline std::string with_ending(const std::string& name, const std::string& ending,
                               std::size_t longest = longest_name) {
  if (name.size() + ending.size() <= longest) return name + ending;
  std::size_t size = longest - ending.size();
  for (int more = 0; more < 3 && (static_cast<unsigned char>(name[size]) & 0xc0) == 0x80; ++more) {
    --size;
  }
  return name.substr(0, size) + ending;
}

/// Puts pieces into a directory. A piece that is delivered again changes nothing.
class target_directory {
 public:
  explicit target_directory(fs::path directory) : directory_(std::move(directory)) {
    std::error_code failed;
    fs::create_directories(directory_, failed);
    if (!failed && ::access(directory_.c_str(), W_OK | X_OK) != 0) {
      failed = std::error_code(errno, std::generic_category());
    }
    if (!failed) return;
    throw std::runtime_error("no file can be put into " + directory_.string() + ": " +
                             failed.message() + "; name another directory");
  }

  /// Returns the outcome if this is the last piece, or can never succeed. A throw means "try
  /// again".
  std::optional<std::string> put(const std::string& from, const piece& p) const {
    if (!is_sender(from)) return "no: your id is not that of a sender of files";
    if (p.offset > p.total || p.data.size() > p.total - p.offset) {
      return "no: a piece lies outside of its file";
    }
    try {
      fs::path part = directory_ / with_ending(safe(p.name), '.' + from + ".part");
      if (p.data.empty()) return finish(part, safe(p.name), p);
      file(part, O_WRONLY | O_CREAT).write(p.offset, p.data);
      return std::nullopt;
    } catch (const std::system_error& e) {
      if (may_pass(e.code())) throw;
      return "no: " + example::line_of(e);
    }
  }

 private:
  /// Whether the same may succeed later, with nothing done about the piece.
  static bool may_pass(const std::error_code& failed) {
    constexpr std::array passing{ENOSPC, EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, EINTR, EAGAIN, EBUSY};
    return std::any_of(passing.begin(), passing.end(), [&failed](int number) {
      return failed == std::error_condition(number, std::generic_category());
    });
  }

  /// The part becomes the file, under the first name that is free or has its contents already.
  std::string finish(const fs::path& part, const std::string& wanted, const piece& p) const {
    if (p.total == 0) file(part, O_WRONLY | O_CREAT).write(0, {});
    bool here = fs::exists(part);
    if (here && !is_right(part, p)) {
      return "no: what has arrived is not the file: it has changed on the way, a part of it was "
             "refused, or the store was used for another";
    }
    for (unsigned n = 0;; ++n) {
      fs::path name = directory_ / with_ending(wanted, n == 0 ? "" : '.' + std::to_string(n));
      bool is_free = !fs::exists(fs::symlink_status(name));
      if (is_free && !here) return "no: it is gone from here";
      // Unlike a rename, a link never replaces a file.
      if (is_free && ::link(part.c_str(), name.c_str()) != 0) {
        throw std::system_error(errno, std::generic_category(), "cannot link " + name.string());
      }
      if (is_free || is_right(name, p)) {
        fs::remove(part);
        return "ok: " + name.filename().string();
      }
    }
  }

  static bool is_right(const fs::path& path, const piece& p) {
    std::error_code not_there;
    if (!fs::is_regular_file(path, not_there)) return false;
    file f(path, O_RDONLY);
    return f.size() == p.total && f.checksum() == p.checksum;
  }

  /// The id becomes part of a file's name.
  static bool is_sender(const std::string& id) {
    return id.size() == 16 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  }
  /// A plain and visible name in the directory for any name by the sender.
  static std::string safe(const std::string& name) {
    std::string clean = with_ending(name, "");
    for (char& c : clean) {
      if (static_cast<unsigned char>(c) < ' ' || c == '\x7f' || c == '/') c = '_';
    }
    if (clean.empty() || clean.front() == '.')
      clean = '_' + with_ending(clean, "", longest_name - 1);
    return clean;
  }

  fs::path directory_;
};
