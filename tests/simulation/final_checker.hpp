#pragma once

// The checks at the end: events name all missing and repeated messages of which a store had
// evidence.

#include "simulation/observations.hpp"

#include <cstddef>

namespace simulation {

class final_checker {
 public:
  explicit final_checker(observations& seen) : seen_(seen) {}

  void finish();

 private:
  void finish_stream(std::size_t from, std::size_t to, const stream& s);
  void finish_missing(std::size_t from, std::size_t to, std::size_t number, const record& r);
  void finish_batches();
  void finish_store_resets();

  observations& seen_;
};

}  // namespace simulation
