// The cost of compiling programs that use ILM: seconds of CPU time, user and system, and the
// compiler's peak memory. POSIX.
//
//   building [--runs N] [--smoke]
//
// Of N runs (3), the fastest counts. The compiler is the one that compiled this; options of the
// build do not reach it.

#include "support.hpp"

#include <algorithm>
#include <cstdio>
#include <spawn.h>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

using namespace benchmark;

struct cost {
  double seconds = 0;
  double mebibytes = 0;
};

/// The parts of a list that CMake wrote, separated by colons.
std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin < list.size();) {
    const std::size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// Runs a command to its end, which has to be a good one.
cost run(const std::vector<std::string>& command) {
  std::vector<char*> arguments;
  for (const std::string& c : command) arguments.push_back(const_cast<char*>(c.c_str()));
  arguments.push_back(nullptr);
  pid_t id = 0;
  int status = -1;
  rusage used{};
  if (::posix_spawnp(&id, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0 ||
      ::wait4(id, &status, 0, &used) != id || status != 0) {
    std::fprintf(stderr, "failed: %s ... %s\n", command.front().c_str(), command.back().c_str());
    std::exit(1);
  }
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return {seconds(used.ru_utime) + seconds(used.ru_stime),
          static_cast<double>(used.ru_maxrss) / 1024};
}

class compiler {
 public:
  explicit compiler(const arguments& a)
      : runs_(a.has("--smoke") ? 1 : static_cast<int>(a.number("--runs", 3))),
        mode_(a.has("--smoke") ? "-E" : "-c") {}

  /// Compiles each of the sources, and adds up.
  void measure(const char* name, const std::string& sources, const std::string& definition) const {
    std::printf("%-42s", name);
    for (const char* level : {"-O0", "-O2"}) {
      cost sum;
      for (const std::string& source : split(sources)) {
        const cost c = fastest({level, definition}, source);
        sum.seconds += c.seconds;
        sum.mebibytes = std::max(sum.mebibytes, c.mebibytes);
      }
      std::printf("  %s %6.1f s %5.0f MiB", level, sum.seconds, sum.mebibytes);
      std::fflush(stdout);
    }
    std::printf("\n");
  }

 private:
  cost fastest(const std::vector<std::string>& options, const std::string& source) const {
    std::vector<std::string> command{COMPILER, "-std=c++20", mode_, "-o", "/dev/null"};
    command.insert(command.end(), options.begin(), options.end());
    for (const std::string& directory : split(INCLUDE_DIRECTORIES))
      command.push_back("-I" + directory);
    command.push_back(source);
    cost best = run(command);
    for (int i = 1; i < runs_; ++i) {
      const cost c = run(command);
      if (c.seconds < best.seconds) best = c;
    }
    return best;
  }

  int runs_;
  std::string mode_;
};

}  // namespace

int main(int count, char** values) {
  const compiler c(arguments(count, values));
  const std::string header_only = "-UILM_COMPILED";
  const std::string compiled = "-DILM_COMPILED";
  c.measure("first program, header-only", EXAMPLES "/first.cpp", header_only);
  c.measure("first program, compiled", EXAMPLES "/first.cpp", compiled);
  c.measure("TCP and SQLite, header-only", EXAMPLES "/durable.cpp", header_only);
  c.measure("TCP and SQLite, compiled", EXAMPLES "/durable.cpp", compiled);
  c.measure("ilm::compiled, once a project", COMPILED_SOURCES, compiled);
}
