#pragma once

// Shortens a failing history.

#include "simulation/play.hpp"

#include <cstddef>
#include <functional>

namespace simulation {

struct shrunk {
  simulation::plan plan;
  simulation::outcome outcome;
  std::size_t plays = 0;  ///< histories played on the way
};

/// Leaves out steps, then messages, then faults, as long as the same kind of failure stays; plays
/// at most `limit` histories.
shrunk shrink(const plan& failing, const playing& how, std::size_t limit = 2000);

}  // namespace simulation
