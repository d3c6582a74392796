#pragma once

// A child process, its one answer, and a place for its files. POSIX.

#include "support.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

namespace benchmark {

/// To be called in a child: where the parent is killed, it goes as well.
inline void end_with_parent() {
#ifdef __linux__
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

/// A process that runs `work(report)`, where `report(value)` gives a value to the parent's `ask`.
template <class Value>
class child {
 public:
  template <class Work>
  explicit child(Work work) {
    if (::pipe(pipe_.data()) != 0) std::exit(1);
    id_ = ::fork();
    if (id_ != 0) return;
    end_with_parent();
    work([this](const Value& v) {
      if (::write(pipe_[1], &v, sizeof v) != sizeof v) std::_Exit(1);
    });
    std::_Exit(0);
  }
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
    ::close(pipe_[0]);
    if (pipe_[1] >= 0) ::close(pipe_[1]);
  }

  Value ask() {
    if (pipe_[1] >= 0) ::close(pipe_[1]);
    pipe_[1] = -1;
    Value v{};
    if (::read(pipe_[0], &v, sizeof v) != sizeof v) std::exit(1);
    return v;
  }

 private:
  std::array<int, 2> pipe_{};
  pid_t id_ = -1;
};

/// A directory of this run's own, which goes with it.
class work_directory {
 public:
  explicit work_directory(const std::filesystem::path& parent)
      : path_(parent / ("ilm_benchmark." + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  work_directory(const work_directory&) = delete;
  work_directory& operator=(const work_directory&) = delete;
  ~work_directory() { std::filesystem::remove_all(path_); }

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const char* name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

}  // namespace benchmark
