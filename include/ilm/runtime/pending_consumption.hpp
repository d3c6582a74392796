#pragma once

#include <ilm/effects.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/store_change.hpp>

#include <memory>
#include <utility>
#include <vector>

namespace ilm::inline v0::runtime {

struct peer;

/// A send, and the peer whose core has it.
using placed_send = std::pair<std::weak_ptr<peer>, protocol::send_id>;

/// A message that the application is done with, until the store knows: one that has effects, which
/// may fail, or sends behind one that does.
struct pending_consumption {
  protocol::inbox_place at;
  unsigned attempt = 0;
  std::vector<std::unique_ptr<detail::effect>> effects;
  std::vector<placed_send> sends;
};

}  // namespace ilm::inline v0::runtime
