#pragma once

// Programs that a test starts, types to and kills, and whose output it reads. POSIX.

#include <ilm/detail/asio.hpp>

#include <asio/io_context.hpp>
#include <asio/ip/address_v4.hpp>
#include <asio/ip/tcp.hpp>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <spawn.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/wait.h>
#include <system_error>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

extern char** environ;

namespace test {

using namespace std::chrono_literals;

/// Polls until `done()`; false if that takes unreasonably long.
template <class Predicate>
bool wait_until(Predicate done, std::chrono::nanoseconds limit = 40s) {
  auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

/// Empty if there is none.
inline std::string contents_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

/// How many lines of a file are `line`.
inline std::size_t count_lines(const std::filesystem::path& file, std::string_view line) {
  std::ifstream in(file);
  std::size_t count = 0;
  for (std::string read; std::getline(in, read);) count += read == line ? 1 : 0;
  return count;
}

/// An address for one process: Linux has sixteen million of this machine alone, other systems one,
/// and then the port must do.
inline std::string free_address() {
  asio::io_context context;
  asio::ip::tcp::acceptor probe(context, asio::ip::tcp::v4());
  asio::ip::address_v4 address(0x7f000002U + std::random_device()() % 0xfffff0U);
  std::error_code failed;
  probe.bind({address, 0}, failed);
  if (failed) probe.bind({asio::ip::address_v4::loopback(), 0});
  auto bound = probe.local_endpoint();
  return bound.address().to_string() + ":" + std::to_string(bound.port());
}

/// A process with a pipe for its terminal. Destroying it kills it.
class program {
 public:
  /// Its output, errors included, is appended to `output`.
  program(std::string file, std::vector<std::string> words, const std::filesystem::path& output)
      : file_(std::move(file)) {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    // No other process inherits the pipe: closing its last end here ends the program's input.
    for (int end : pipe) ::fcntl(end, F_SETFD, FD_CLOEXEC);
    input_ = pipe[1];
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, pipe[0], STDIN_FILENO);
    ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    words.insert(words.begin(), file_);
    std::vector<char*> pointers;
    for (std::string& w : words) pointers.push_back(w.data());
    pointers.push_back(nullptr);
    int failed = ::posix_spawn(&pid_, file_.c_str(), &actions, nullptr, pointers.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipe[0]);
    if (failed == 0) return;
    ::close(input_);
    throw std::system_error(failed, std::generic_category(), file_);
  }
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program() {
    kill();
    end_input();
  }

  /// A line and Enter.
  void type(std::string line) {
    // A program that has ended fails the test; the signal would end it without a word.
    std::signal(SIGPIPE, SIG_IGN);
    line += '\n';
    if (::write(input_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
      throw std::system_error(errno, std::generic_category(), "typing to " + file_);
    }
  }
  /// Ctrl-D.
  void end_input() {
    if (input_ >= 0) ::close(std::exchange(input_, -1));
  }

  /// As kill -9. Does nothing once it has ended.
  void kill() {
    if (has_ended()) return;
    ::kill(pid_, SIGKILL);
    wait_for_it(0);
  }
  bool has_ended() {
    if (pid_ != 0) wait_for_it(WNOHANG);
    return pid_ == 0;
  }
  /// Waits for its end. -1 if that was a signal.
  int exit_code() {
    if (!wait_until([this] { return has_ended(); })) throw std::runtime_error(file_ + " runs on");
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : -1;
  }

 private:
  void wait_for_it(int flags) {
    pid_t ended = 0;
    do ended = ::waitpid(pid_, &status_, flags);
    while (ended < 0 && errno == EINTR);
    if (ended != 0) pid_ = 0;
  }

  std::string file_;
  pid_t pid_ = 0;
  int input_ = -1;
  int status_ = 0;
};

/// Runs a program to its end; returns its exit code, and replaces `output` by its output.
inline int run(const std::string& file, std::vector<std::string> words,
               const std::filesystem::path& output) {
  std::filesystem::remove(output);
  return program(file, std::move(words), output).exit_code();
}

/// Lets a shell change how a program is run: in the script, "$0" "$@" is the program and its words.
inline int run_by_shell(const std::string& script, const std::string& file,
                        std::vector<std::string> words, const std::filesystem::path& output) {
  words.insert(words.begin(), {"-c", script, file});
  return run("/bin/sh", std::move(words), output);
}

/// Whether a program has told an error as it should: in one line, with its name and this in it.
inline bool is_one_line(const std::string& printed, const std::string& name,
                        const std::string& text) {
  return printed.starts_with(name + ": ") && printed.find('\n') == printed.size() - 1 &&
         printed.find(text) != std::string::npos &&
         printed.find("filesystem error") == std::string::npos;
}

}  // namespace test
