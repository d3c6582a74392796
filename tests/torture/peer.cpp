// One peer of the torture: a process that sends, receives, writes both down and waits to be killed;
// or, within a chain, one that passes messages on.

#include "application.hpp"
#include "full_disk.hpp"
#include "hasty_backend.hpp"
#include "peer_arguments.hpp"
#include "relay.hpp"

#include <ilm/backends/sqlite.hpp>

#include <asio/io_context.hpp>

#ifdef __linux__
#include <sys/prctl.h>
#endif
#include <csignal>
#include <exception>
#include <iostream>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

namespace {

using torture::peer_arguments;

/// Sockets of the driver's that came along would keep connections open that it believes cut.
void drop_inheritance() {
  for (int descriptor = torture::report_descriptor + 1; descriptor < 1024; ++descriptor) {
    ::close(descriptor);
  }
}

/// The end of the driver is seen on its pipe as well, but not by a process that hangs.
void end_with_driver() {
#ifdef __linux__
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
}

template <template <class> class Kind, class Backend>
int run(const peer_arguments& arguments, Backend store) {
  asio::io_context context(1);
  Kind<Backend> peer(context, arguments, std::move(store));
  return peer.run();
}

template <ilm::durability Level>
int run_on(const peer_arguments& arguments) {
  ilm::sqlite_backend<std::string, Level> store(arguments.file("db"));
  if constexpr (Level == ilm::durability::os) {
    if (arguments.sabotage == "hasty") {
      return run<torture::application>(arguments, torture::hasty_backend(std::move(store)));
    }
  }
  if (arguments.role == "handler") return run<torture::handler_relay>(arguments, std::move(store));
  if (arguments.role == "inbox") return run<torture::inbox_relay>(arguments, std::move(store));
  return run<torture::application>(arguments, std::move(store));
}

}  // namespace

int main(int count, char** words) {
  drop_inheritance();
  end_with_driver();
  try {
    peer_arguments arguments(std::vector<std::string>(words + 1, words + count));
    torture::full_disk::install(arguments.file("full"), arguments.seed);
    return arguments.level == "media" ? run_on<ilm::durability::media>(arguments)
                                      : run_on<ilm::durability::os>(arguments);
  } catch (const std::exception& e) {
    std::cerr << "ilm_torture_peer: " << e.what() << '\n';
    return torture::exit_failed;
  }
}
