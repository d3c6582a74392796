#pragma once

#include "stage.hpp"
#include "words.hpp"

#include <iosfwd>
#include <string>
#include <vector>

namespace crash_points {

/// A short story of two sides, to be told again with crashes in it.
struct history {
  std::string name;
  std::string about;
  void (*script)(stage&);
};

const std::vector<history>& all_histories();

/// Throws std::invalid_argument if there is none of that name.
const history& find_history(const std::string& name);

/// Tells it once, with what `p` plans, and judges it.
outcome tell(const history& h, const plan& p, sabotage defect = sabotage::none,
             std::ostream* trace = nullptr);

}  // namespace crash_points
