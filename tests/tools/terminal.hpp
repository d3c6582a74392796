#pragma once

// A program at a terminal: a test types keys, and reads the output to the screen. POSIX.

#include "program.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <spawn.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <system_error>
#include <termios.h>
#include <unistd.h>
#include <vector>

namespace test {

class terminal {
 public:
  terminal(std::string file, std::vector<std::string> words, unsigned short columns,
           const std::vector<std::string>& variables) {
    master_ = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master_ < 0 || ::grantpt(master_) != 0 || ::unlockpt(master_) != 0) fail("a terminal");
    std::string name = ::ptsname(master_);
    slave_ = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave_ < 0) fail(name);
    winsize size{};
    size.ws_col = columns;
    size.ws_row = 24;
    ::ioctl(slave_, TIOCSWINSZ, &size);
    ::fcntl(master_, F_SETFL, O_NONBLOCK);
    spawn(name, file, words, variables);
  }
  terminal(const terminal&) = delete;
  terminal& operator=(const terminal&) = delete;
  ~terminal() {
    if (!has_ended()) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status_, 0);
    }
    ::close(master_);
    ::close(slave_);
  }

  void type(const std::string& keys) {
    if (::write(master_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
      fail("typing");
    }
  }
  /// Waits until the program has printed `text`.
  bool shows(const std::string& text) {
    return wait_until([&] { return printed().find(text) != std::string::npos; });
  }
  const std::string& printed() {
    std::array<char, 4096> part{};
    for (ssize_t size = 0; (size = ::read(master_, part.data(), part.size())) > 0;) {
      printed_.append(part.data(), static_cast<std::size_t>(size));
    }
    return printed_;
  }
  /// -1 if its end was a signal.
  int exit_code() {
    bool ended = wait_until([this] {
      printed();
      return has_ended();
    });
    if (!ended) throw std::runtime_error("the program runs on");
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }
  /// Whether lines are edited and echoed by the terminal itself.
  bool edits_lines() const {
    termios now{};
    ::tcgetattr(slave_, &now);
    return (now.c_lflag & ICANON) != 0 && (now.c_lflag & ECHO) != 0;
  }

 private:
  [[noreturn]] static void fail(const std::string& what) {
    throw std::system_error(errno, std::generic_category(), what);
  }

  void spawn(const std::string& name, std::string file, std::vector<std::string> words,
             std::vector<std::string> variables) {
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    // Opened by the leader of a new session, it controls it: Ctrl-C is a signal.
    ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, name.c_str(), O_RDWR, 0);
    ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDERR_FILENO);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
    words.insert(words.begin(), file);
    variables.push_back("LANG=C.UTF-8");
    int failed = ::posix_spawn(&pid_, file.c_str(), &actions, &attributes, pointers(words).data(),
                               pointers(variables).data());
    ::posix_spawnattr_destroy(&attributes);
    ::posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) throw std::system_error(failed, std::generic_category(), file);
  }

  static std::vector<char*> pointers(std::vector<std::string>& words) {
    std::vector<char*> all;
    for (std::string& w : words) all.push_back(w.data());
    all.push_back(nullptr);
    return all;
  }

  bool has_ended() {
    if (pid_ != 0 && ::waitpid(pid_, &status_, WNOHANG) == pid_) pid_ = 0;
    return pid_ == 0;
  }

  int master_ = -1, slave_ = -1;
  pid_t pid_ = 0;
  int status_ = 0;
  std::string printed_;
};

}  // namespace test
