// Kills processes, cuts connections, fills disks, puts old stores back, and checks that no message
// was lost, repeated or overtaken: see `usage` in driver_options.cpp.

#include "campaign.hpp"
#include "driver_options.hpp"
#include "summary.hpp"
#include "supervisor.hpp"

#include <asio/co_spawn.hpp>
#include <asio/io_context.hpp>

#include <csignal>
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <system_error>
#include <vector>

namespace {

using torture::driver_options;

std::filesystem::path make_directory(const driver_options& options) {
  if (!options.keep.empty()) {
    std::filesystem::create_directories(options.keep);
    return options.keep;
  }
  std::string name = (std::filesystem::temp_directory_path() / "ilm_torture.XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) torture::throw_errno(name);
  return name;
}

std::filesystem::path beside(const char* self) {
  std::error_code no_such_thing;
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", no_such_thing);
  if (no_such_thing) program = std::filesystem::absolute(self);
  return program.parent_path() / "ilm_torture_peer";
}

/// False if something failed.
bool play(const driver_options& options, const std::filesystem::path& directory) {
  asio::io_context context(1);
  torture::supervisor supervisor(context, options, directory);
  torture::campaign campaign(supervisor);
  std::exception_ptr failed;
  auto done = [&](std::exception_ptr e) {
    failed = e;
    context.stop();
  };
  asio::co_spawn(context, campaign.run(), done);
  context.run();
  if (failed) std::rethrow_exception(failed);
  if (supervisor.failed()) {
    // The counts of an unfinished run: messages under way are not lost.
    supervisor.checks().follow();
  } else {
    supervisor.checks().finish();
  }
  supervisor.counts().messages = supervisor.checks().counts();
  print_summary(std::cout, supervisor.counts());
  return supervisor.counts().well();
}

int run(const driver_options& options) {
  std::filesystem::path directory = make_directory(options);
  std::cout << options.replay_command() << "\nin " << directory.string() << std::endl;
  bool well = play(options, directory);
  bool as_expected = well == (options.sabotage == "none");
  if (as_expected && options.keep.empty()) std::filesystem::remove_all(directory);
  if (!as_expected) {
    std::cout << "\nStores, journals and logs are in " << directory.string()
              << "\nTo repeat it as far as timing lets you: " << options.replay_command() << '\n';
  }
  if (options.sabotage != "none") {
    std::cout << (well ? "\nFAILED: the sabotage was not found\n"
                       : "\nok: the sabotage was found\n");
  } else {
    std::cout << (well ? "\nok\n" : "\nFAILED\n");
  }
  return as_expected ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  // A peer that was killed reads no commands.
  std::signal(SIGPIPE, SIG_IGN);
  try {
    driver_options options =
        driver_options::parse(std::vector<std::string>(words + 1, words + count));
    if (options.help) {
      std::cout << torture::usage;
      return 0;
    }
    if (options.peer_program.empty()) options.peer_program = beside(words[0]);
    return run(options);
  } catch (const std::invalid_argument& e) {
    std::cerr << "ilm_torture: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "ilm_torture: " << e.what() << '\n';
    return 1;
  }
}
