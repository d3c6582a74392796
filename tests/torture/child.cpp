#include "child.hpp"

#include "journal.hpp"
#include "peer_arguments.hpp"

#include <asio/read_until.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <system_error>
#include <unistd.h>

extern char** environ;

namespace torture {
namespace {

/// A pipe that a child does not inherit unless it is told to.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw_errno("pipe");
  for (int end : ends) ::fcntl(end, F_SETFD, FD_CLOEXEC);
  return ends;
}

class spawn_actions {
 public:
  spawn_actions() { ::posix_spawn_file_actions_init(&actions_); }
  spawn_actions(const spawn_actions&) = delete;
  spawn_actions& operator=(const spawn_actions&) = delete;
  ~spawn_actions() { ::posix_spawn_file_actions_destroy(&actions_); }

  void copy(int from, int to) { ::posix_spawn_file_actions_adddup2(&actions_, from, to); }
  void append_to(const std::filesystem::path& file, int descriptor) {
    ::posix_spawn_file_actions_addopen(&actions_, descriptor, file.c_str(),
                                       O_WRONLY | O_CREAT | O_APPEND, 0644);
  }
  const posix_spawn_file_actions_t* get() const noexcept { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

}  // namespace

child::child(asio::io_context& context, const std::vector<std::string>& words,
             const std::filesystem::path& errors)
    : commands_(context), report_(context) {
  std::array<int, 2> commands = make_pipe(), report = make_pipe();
  spawn_actions actions;
  actions.copy(commands[0], STDIN_FILENO);
  actions.append_to(errors, STDERR_FILENO);
  actions.copy(report[1], report_descriptor);
  std::vector<char*> arguments;
  for (const std::string& w : words) arguments.push_back(const_cast<char*>(w.c_str()));
  arguments.push_back(nullptr);
  int failed =
      ::posix_spawn(&pid_, arguments[0], actions.get(), nullptr, arguments.data(), environ);
  ::close(commands[0]);
  ::close(report[1]);
  commands_.assign(commands[1]);
  report_.assign(report[0]);
  if (failed != 0) {
    pid_ = 0;
    throw std::system_error(failed, std::generic_category(), words[0]);
  }
}

child::~child() {
  kill();
  wait();
}

void child::kill() {
  if (alive()) ::kill(pid_, SIGKILL);
}

void child::command(char letter) {
  // The pipe is as good as empty, and SIGPIPE is ignored.
  if (alive() && ::write(commands_.native_handle(), &letter, 1) < 0 && errno != EPIPE) {
    throw_errno("a command to a peer");
  }
}

asio::awaitable<int> child::follow(std::function<void(const std::string&)> handle_line) {
  std::string text;
  for (;;) {
    std::error_code ended;
    std::size_t size =
        co_await asio::async_read_until(report_, asio::dynamic_buffer(text), '\n',
                                        asio::redirect_error(asio::use_awaitable, ended));
    // The process alone has the other end: its end closes the pipe.
    if (ended) break;
    handle_line(text.substr(0, size - 1));
    text.erase(0, size);
  }
  co_return wait();
}

int child::wait() {
  int status = 0;
  while (alive() && ::waitpid(pid_, &status, 0) < 0) {
    if (errno != EINTR) throw_errno("waitpid");
  }
  pid_ = 0;
  return status;
}

}  // namespace torture
