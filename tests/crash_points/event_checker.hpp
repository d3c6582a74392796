#pragma once

// The checks of events, and of losses and repetitions that only an event may allow.

#include "observations.hpp"

#include <ilm/event.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace crash_points {

class event_checker {
 public:
  using event_type = ilm::event<std::string>;

  explicit event_checker(observations& seen) : seen_(seen) {}

  void handle_event(side self, const event_type& e);
  /// The application of `at` declined a message, so that a failed delivery is due.
  void handle_declined(side at, std::uint64_t sequence) { declined_[at].insert(sequence); }
  void expect_store_failures() noexcept { stores_fail_ = true; }

  /// After convergence, for the messages of one side.
  void finish_stream(side sender);
  void finish_replacement();

 private:
  void finish_abandoned(side sender, send_id which);

  observations& seen_;
  std::array<std::set<std::uint64_t>, 2> declined_;
  std::array<std::map<ilm::event_kind, unsigned>, 2> events_;
  bool stores_fail_ = false;
};

}  // namespace crash_points
