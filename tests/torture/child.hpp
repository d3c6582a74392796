#pragma once

#include "asio_setup.hpp"

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>

#include <filesystem>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

namespace torture {

/// A process that the driver started. Destroying it kills it.
class child {
 public:
  /// `words` are the program and its arguments; its stderr is appended to the file `errors`.
  child(asio::io_context& context, const std::vector<std::string>& words,
        const std::filesystem::path& errors);
  child(const child&) = delete;
  child& operator=(const child&) = delete;
  ~child();

  /// Calls `handle_line` with each line that it reports, until it has ended; returns its status, as
  /// waitpid does.
  asio::awaitable<int> follow(std::function<void(const std::string&)> handle_line);

  /// Has no effect after `follow` has returned: another process may have its id by then.
  void kill();
  /// One letter; lost if it has ended.
  void command(char letter);
  bool alive() const noexcept { return pid_ > 0; }

 private:
  int wait();

  pid_t pid_ = 0;
  asio::posix::stream_descriptor commands_;
  asio::posix::stream_descriptor report_;
};

}  // namespace torture
