#pragma once

// The checks of events as they come: each has a cause.

#include "simulation/observations.hpp"

#include <cstddef>

namespace simulation {

class event_checker {
 public:
  explicit event_checker(observations& seen) : seen_(seen) {}

  void handle_event(std::size_t at, std::size_t about, const event_type& e);
  /// An event without a peer.
  void handle_own_event(std::size_t at, const event_type& e);
  void corruption_begins() { corruption_ = true; }
  void builds_differ() { builds_differ_ = true; }

 private:
  void handle_session(std::size_t at, std::size_t about);

  observations& seen_;
  bool corruption_ = false;
  bool builds_differ_ = false;
};

}  // namespace simulation
