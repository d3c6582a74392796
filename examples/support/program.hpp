#pragma once

// How the programs among the examples begin, speak and end.

#include <ilm/printable.hpp>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <ios>
#include <iostream>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#if __has_include(<unistd.h>)
#include <fcntl.h>
#include <unistd.h>
#endif

namespace example {

/// Thrown for arguments that make no sense.
struct misuse : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One line for a user.
inline std::string line_of(const std::exception& e) {
  if (const auto* failed = dynamic_cast<const std::filesystem::filesystem_error*>(&e)) {
    std::string line = ilm::printable(failed->path1().string());
    if (!failed->path2().empty()) line += " to " + ilm::printable(failed->path2().string());
    return (line.empty() ? line : line + ": ") + failed->code().message();
  }
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return "there is not enough memory";
  return ilm::printable(e.what());
}

/// The same, beginning with its subject.
inline std::string line_about(const std::string& subject, const std::string& reason) {
  std::string shown = ilm::printable(subject);
  return reason.find(shown) == std::string::npos ? shown + ": " + reason : reason;
}

/// Throws the reason why a file has no contents to be read. Others than regular ones may have no
/// end.
inline void require_readable(const std::filesystem::path& file) {
  std::error_code failed;
  std::filesystem::file_status found = std::filesystem::status(file, failed);
  if (found.type() == std::filesystem::file_type::not_found) {
    throw std::runtime_error("there is no such file");
  }
  if (failed) throw std::runtime_error(failed.message());
  if (std::filesystem::is_directory(found)) throw std::runtime_error("it is a directory");
  if (!std::filesystem::is_regular_file(found)) throw std::runtime_error("it is no regular file");
  errno = 0;
  if (std::ifstream(file)) return;
  throw std::runtime_error("it cannot be opened: " + std::generic_category().message(errno));
}

/// A new directory for temporary files is made in this one.
inline std::filesystem::path temporary_place() {
  std::error_code failed;
  std::filesystem::path place = std::filesystem::temp_directory_path(failed);
  if (failed) throw std::runtime_error("there is no directory for temporary files; set TMPDIR");
  return place;
}

#if __has_include(<unistd.h>)
/// A file that is opened while one of the three is closed gets its number, and output goes
/// into that file. The descriptors opened here in their places take no output, and have no input.
inline void fill_standard_descriptors() {
  for (int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    bool closed = ::fcntl(number, F_GETFD) < 0 && errno == EBADF;
    if (closed && ::open("/dev/null", O_RDONLY) != number) std::_Exit(1);
  }
  // A reader that is gone makes a write fail, which is reported, instead of ending the program.
  std::signal(SIGPIPE, SIG_IGN);
}
#else
inline void fill_standard_descriptors() {}
#endif

struct program {
  std::string name;    ///< for its messages
  int error_code = 1;  ///< at an error that is no misuse
};
inline program& this_program() {
  static program running;
  return running;
}

/// Ends the program where nobody can read on: as safe as a kill, at any time.
inline void flush_output() {
  std::cout.exceptions(std::ios::goodbit);
  if (std::cout << std::flush) return;
  std::cerr << this_program().name
            << ": the output cannot be written; is it closed, or its disk full?" << std::endl;
  std::_Exit(this_program().error_code);
}

inline void say(const std::string& line) {
  std::cout << line << '\n';
  flush_output();
}

/// Whether an output is new, by subject: a state that lasts is told once.
class last_lines {
 public:
  bool is_new(const std::string& subject, const std::string& line) {
    std::string& last = last_[subject];
    if (last == line) return false;
    last = line;
    return true;
  }

 private:
  std::map<std::string, std::string> last_;
};

/// Calls `work(words)` for the exit code. Any error is one line, and `misuse` also shows `usage`.
template <class Work>
int run_program(const char* name, std::string_view usage, int count, char** words, Work work,
                int error_code = 1) {
  fill_standard_descriptors();
  this_program() = program{name, error_code};
  int code = 0;
  try {
    std::vector<std::string> given(words + (count > 0 ? 1 : 0), words + count);
    if (given == std::vector<std::string>{"--help"}) {
      std::cout << usage;
    } else {
      code = work(given);
    }
  } catch (const misuse& e) {
    std::cerr << name << ": " << ilm::printable(e.what()) << '\n' << usage;
    code = 2;
  } catch (const std::ios::failure&) {
    code = error_code;  // of std::cout: told below
  } catch (const std::exception& e) {
    std::cerr << name << ": " << line_of(e) << '\n';
    code = error_code;
  }
  flush_output();
  return code;
}

}  // namespace example
