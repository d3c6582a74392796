#pragma once

#include "crash_plan.hpp"
#include "world.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace crash_points {

/// A short script for two sides, repeated with crashes in it.
struct history {
  std::string name;
  std::string about;
  void (*script)(world&);
};

const std::vector<history>& all_histories();

/// Throws std::invalid_argument if there is none of that name.
const history& find_history(const std::string& name);

/// Runs it once with the crashes of `p`, and checks it.
outcome run_history(const history& h, const plan& p, sabotage defect = sabotage::none,
                    std::ostream* trace = nullptr);

}  // namespace crash_points
