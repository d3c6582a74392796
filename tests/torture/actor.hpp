#pragma once

#include "child.hpp"
#include "proxy.hpp"
#include "tally.hpp"

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace torture {

using clock_type = std::chrono::steady_clock;

/// One peer as its driver sees it, over all its lives.
struct actor {
  explicit actor(std::string called) : name(std::move(called)) {}

  /// What the process said of itself last.
  struct state {
    std::uint64_t open_sends = 0;
    std::uint64_t outbox = 0;
    std::uint64_t inbox = 0;
    std::uint64_t connected = 0;
    std::uint64_t again = 0;
    bool quiet = false;
    bool at_rest() const noexcept { return quiet && open_sends + outbox + inbox == 0; }
  };

  /// What it said when it had shut down.
  struct report {
    bool given = false;
    std::uint64_t delivered = 0;
    std::uint64_t undelivered = 0;
    std::uint64_t unread = 0;
  };

  const std::string name;
  std::deque<proxy> ways;  ///< to it, one for each of the others
  std::unique_ptr<child> process;
  phase now = phase::down;
  std::uint32_t life = 0;
  std::uint16_t generation = 0;
  clock_type::time_point since{};  ///< when the present phase began
  clock_type::time_point started{};
  std::chrono::milliseconds usual_start{50};
  state last;
  report end;
  /// Events of the kinds that tell of a store put back, by kind and peer.
  std::map<std::pair<std::string, std::string>, std::uint64_t> told;
  bool killed = false;  ///< by us, so that it may end
  bool held = false;    ///< not to be started again

  bool alive() const noexcept { return now != phase::down; }
  /// Who was killed and has not quite ended does not.
  bool works() const noexcept { return now == phase::running && !killed; }

  void enter(phase p) {
    now = p;
    since = clock_type::now();
  }
};

}  // namespace torture
