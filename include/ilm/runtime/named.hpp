#pragma once

#include <ilm/event.hpp>
#include <ilm/runtime/names.hpp>
#include <ilm/statistics.hpp>

#include <memory>
#include <utility>
#include <vector>

// The engine's results, with names instead of ids.

namespace ilm::inline v0::runtime {

struct named_event {
  named_event() = default;
  named_event(std::shared_ptr<const peer_name> subject, event_record r)
      : peer(std::move(subject)), record(std::move(r)) {}

  std::shared_ptr<const peer_name> peer;
  event_record record;
};

/// Peers come in the order of their ids.
struct named_statistics {
  named_statistics() = default;

  messenger_totals totals;
  std::vector<std::pair<std::shared_ptr<const peer_name>, peer_figures>> peers;
};

/// Peers come in the order of their ids.
struct named_report {
  named_report() = default;

  shutdown_counts totals;
  std::vector<std::pair<std::shared_ptr<const peer_name>, shutdown_counts>> peers;
};

}  // namespace ilm::inline v0::runtime
