// Kills processes, cuts connections, puts old stores back, and checks that no message was lost,
// repeated or overtaken: see `usage` in orders.cpp.

#include "campaign.hpp"
#include "orders.hpp"
#include "stage.hpp"
#include "tally.hpp"

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

using torture::orders;

std::filesystem::path make_directory(const orders& given) {
  if (!given.keep.empty()) {
    std::filesystem::create_directories(given.keep);
    return given.keep;
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
bool play(const orders& given, const std::filesystem::path& directory) {
  asio::io_context context(1);
  torture::stage stage(context, given, directory);
  torture::campaign campaign(stage);
  std::exception_ptr failed;
  auto done = [&](std::exception_ptr e) {
    failed = e;
    context.stop();
  };
  asio::co_spawn(context, campaign.run(), done);
  context.run();
  if (failed) std::rethrow_exception(failed);
  if (stage.failed()) {
    // Where they stand in the midst of it; what is under way is not lost.
    stage.judge().follow();
  } else {
    stage.judge().finish();
  }
  stage.counts().messages = stage.judge().counts();
  print_verdict(std::cout, stage.counts());
  return stage.counts().well();
}

int run(const orders& given) {
  std::filesystem::path directory = make_directory(given);
  std::cout << given.repeat() << "\nin " << directory.string() << std::endl;
  bool well = play(given, directory);
  bool as_expected = well == (given.sabotage == "none");
  if (as_expected && given.keep.empty()) std::filesystem::remove_all(directory);
  if (!as_expected) {
    std::cout << "\nStores, diaries and logs are in " << directory.string()
              << "\nTo repeat it as far as timing lets you: " << given.repeat() << '\n';
  }
  if (given.sabotage != "none") {
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
    orders given = orders::parse(std::vector<std::string>(words + 1, words + count));
    if (given.help) {
      std::cout << torture::usage;
      return 0;
    }
    if (given.peer_program.empty()) given.peer_program = beside(words[0]);
    return run(given);
  } catch (const std::invalid_argument& e) {
    std::cerr << "ilm_torture: " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << "ilm_torture: " << e.what() << '\n';
    return 1;
  }
}
