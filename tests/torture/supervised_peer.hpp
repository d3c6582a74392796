#pragma once

#include "child.hpp"
#include "proxy.hpp"
#include "summary.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace torture {

using clock_type = std::chrono::steady_clock;

/// One peer as its driver sees it, over all its processes.
struct supervised_peer {
  explicit supervised_peer(std::string called) : name(std::move(called)) {}

  /// The last state that the process reported.
  struct state {
    std::uint64_t open_sends = 0;
    std::uint64_t outbox = 0;
    std::uint64_t inbox = 0;
    std::uint64_t connected = 0;
    std::uint64_t again = 0;
    bool quiet = false;
    std::uint64_t refused_writes = 0;
    bool at_rest() const noexcept { return quiet && open_sends + outbox + inbox == 0; }
  };

  /// The report of a process that has shut down.
  struct report {
    bool given = false;
    std::uint64_t delivered = 0;
    std::uint64_t undelivered = 0;
    std::uint64_t unread = 0;
  };

  const std::string name;
  std::deque<proxy> proxies;  ///< on the way to it, one for each other peer
  std::unique_ptr<child> process;
  phase now = phase::down;
  std::uint32_t process_number = 0;
  std::uint16_t generation = 0;
  clock_type::time_point since{};  ///< when the present phase began
  clock_type::time_point started{};
  std::chrono::milliseconds usual_start{50};
  state last;
  report end;
  /// Events that report a store put back, by kind and peer.
  std::map<std::pair<std::string, std::string>, std::uint64_t> rollback_events;
  bool killed = false;  ///< by the driver
  bool held = false;    ///< not to be started again
  bool disk_full = false;

  bool alive() const noexcept { return now != phase::down; }
  /// A killed process that has not ended yet does not work.
  bool works() const noexcept { return now == phase::running && !killed; }

  void enter(phase p) {
    now = p;
    since = clock_type::now();
  }
};

}  // namespace torture
