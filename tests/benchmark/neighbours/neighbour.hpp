#pragma once

// Shared by the programs for the neighbours: a server of their own, the processes that send and
// receive, and the line that is printed. POSIX.
//
//   NAME [--messages N] [--dir DIR] ...
//
// Each sends N messages of 100 bytes to another process, with 1,000 in flight at most, and counts
// from the first one until that process has acknowledged that it consumed the last one.

#include "../process.hpp"
#include "../table.hpp"

#include <arpa/inet.h>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace benchmark {

constexpr std::uint64_t in_flight = 1000;
constexpr std::size_t message_size = 100;

[[noreturn]] inline void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::exit(1);
}

struct settings {
  settings(int count, char** values, std::uint64_t usual_messages)
      : line(count, values),
        messages(line.number("--messages", usual_messages)),
        directory(line.text("--dir", std::filesystem::temp_directory_path().string())) {
    messages -= messages % in_flight;
  }

  arguments line;
  std::uint64_t messages;
  work_directory directory;
};

/// A port that nobody listens on now.
inline int free_port() {
  int s = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  if (::bind(s, reinterpret_cast<sockaddr*>(&at), size) != 0 ||
      ::getsockname(s, reinterpret_cast<sockaddr*>(&at), &size) != 0) {
    give_up("there is no free port");
  }
  ::close(s);
  return ntohs(at.sin_port);
}

/// A server process, which listens when the constructor returns. Its output goes to a file.
class server {
 public:
  server(const work_directory& d, int port, const std::vector<std::string>& command) {
    std::string log = d / "server.log";
    id_ = ::fork();
    if (id_ == 0) {
      end_with_parent();
      int to = ::open(log.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
      ::dup2(to, 1);
      ::dup2(to, 2);
      std::vector<char*> words;
      for (const std::string& w : command) words.push_back(const_cast<char*>(w.c_str()));
      words.push_back(nullptr);
      ::execvp(words[0], words.data());
      std::_Exit(1);
    }
    for (int tries = 0; !listens(port); ++tries) {
      if (tries == 1000 || ::waitpid(id_, nullptr, WNOHANG) != 0) fail(command[0], log);
      ::usleep(10'000);
    }
  }
  server(const server&) = delete;
  server& operator=(const server&) = delete;
  ~server() {
    ::kill(id_, SIGTERM);
    ::waitpid(id_, nullptr, 0);
  }

 private:
  static bool listens(int port) {
    int s = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    at.sin_port = htons(static_cast<std::uint16_t>(port));
    bool connected = ::connect(s, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0;
    ::close(s);
    return connected;
  }
  [[noreturn]] void fail(const std::string& name, const std::string& log) const {
    std::ifstream said(log);
    give_up(name + " does not start: " + std::string(std::istreambuf_iterator<char>(said), {}));
  }

  pid_t id_ = -1;
};

/// Writes a server's configuration; its path.
inline std::string write_file(const work_directory& d, const char* name, const std::string& text) {
  std::string path = d / name;
  std::ofstream(path) << text;
  return path;
}

/// The rate in the table of the neighbours. `durable`: the worst that an acknowledged
/// message survives.
inline void print_rate(const std::string& name, double messages, double seconds,
                       const std::string& durable) {
  print_figure("side_by_side", name, "", messages / seconds, "messages/s", durable);
}

}  // namespace benchmark
