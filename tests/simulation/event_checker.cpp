#include "simulation/event_checker.hpp"

#include "simulation/plan.hpp"

namespace simulation {

void event_checker::handle_event(std::size_t at, std::size_t about, const event_type& e) {
  using kind = ilm::event_kind;
  std::string text = peer_name(at) + " about " + peer_name(about) + ": " + ilm::describe(e);
  switch (e.kind) {
    case kind::peer_connected:
      return handle_session(at, about);
    case kind::peer_reset:
    case kind::store_lost:
    case kind::rolled_back:
    case kind::peer_rolled_back:
    case kind::gap:
      handle_session(at, about);
      // A reset needs a cause: a store that was lost or went back.
      if (!seen_.was_reset(at, about) && !seen_.was_reset(about, at))
        seen_.fail("reset without a cause", text);
      break;
    case kind::frame_rejected:
      // Of a history that went back, until the next hello tells.
      if (e.error == ilm::error::stream_diverged &&
          (seen_.was_reset(at, about) || seen_.was_reset(about, at))) {
        return;
      }
      // After a downgrade, frames of the session before may still be under way.
      if (builds_differ_ && e.error == ilm::error::unsupported_version) return;
      if (!corruption_ ||
          (e.error != ilm::error::checksum_mismatch && e.error != ilm::error::malformed_frame &&
           e.error != ilm::error::unsupported_version && e.error != ilm::error::unknown_record &&
           e.error != ilm::error::unknown_attribute)) {
        seen_.fail("honest frame rejected", text);
      }
      return;
    case kind::peer_incompatible:
    case kind::stream_blocked:
    case kind::network_problem:
      return seen_.fail("wrong event", text);
    case kind::store_failed:
      break;
    default:
      return;
  }
  seen_.reported[{at, about}].push_back(reported_event{now(), seen_.processes[at], e});
}

void event_checker::handle_session(std::size_t at, std::size_t about) {
  seen_.sessions.insert({at, about, seen_.processes[at]});
  seen_.last_session[{at, about}] = now();
}

void event_checker::handle_own_event(std::size_t at, const event_type& e) {
  if (e.kind == ilm::event_kind::events_lost || e.kind == ilm::event_kind::network_ended) {
    seen_.fail("wrong event", peer_name(at) + ": " + ilm::describe(e));
  }
}

}  // namespace simulation
