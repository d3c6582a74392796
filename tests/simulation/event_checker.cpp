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
      return handle_rejected(at, about, e);
    case kind::peer_incompatible:
      if (!may_be_incompatible(at, about)) seen_.fail("wrong event", text);
      return;
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

void event_checker::handle_rejected(std::size_t at, std::size_t about, const event_type& e) {
  if (may_reject(at, about, e.error)) return;
  std::uint64_t& guesses = guesses_[{at, about}];
  if (guesses == 0) {
    return seen_.fail("honest frame rejected",
                      peer_name(at) + " about " + peer_name(about) + ": " + ilm::describe(e));
  }
  --guesses;
}

bool event_checker::may_reject(std::size_t at, std::size_t about, std::error_code e) const {
  // Of a history that went back, until the next hello tells.
  if (e == ilm::error::stream_diverged &&
      (seen_.was_reset(at, about) || seen_.was_reset(about, at))) {
    return true;
  }
  // After a downgrade, frames of the session before may still be under way.
  if (builds_differ_ && e == ilm::error::unsupported_version) return true;
  return corruption_ && (e == ilm::error::checksum_mismatch || e == ilm::error::malformed_frame ||
                         e == ilm::error::unsupported_version || e == ilm::error::unknown_record ||
                         e == ilm::error::unknown_attribute);
}

/// Some builds of the two have to be in conflict, or somebody said so where no session was open.
bool event_checker::may_be_incompatible(std::size_t at, std::size_t about) {
  for (const ilm::options& a : builds_[at]) {
    for (const ilm::options& b : builds_[about]) {
      bool common = a.support.lowest_version <= b.support.highest_version &&
                    b.support.lowest_version <= a.support.highest_version;
      bool missing = (a.support.required & ~b.support.understood) != 0 ||
                     (b.support.required & ~a.support.understood) != 0;
      if (!common || missing) return true;
    }
  }
  std::uint64_t& guesses = guessed_versions_[{at, about}];
  return guesses != 0 && guesses-- != 0;
}

void event_checker::handle_build(std::size_t at, const ilm::options& o) {
  builds_.resize(seen_.options.size());
  builds_[at].push_back(o);
  bool usual = o.support == ilm::options().support;
  builds_differ_ = builds_differ_ || !usual;
}

void event_checker::handle_guess(std::size_t at, std::size_t about,
                                 std::span<const std::byte> bytes) {
  ++guesses_[{at, about}];
  std::optional<wire::frame> f = wire::read(bytes);
  if (f && f->versions) ++guessed_versions_[{at, about}];
}

void event_checker::handle_session(std::size_t at, std::size_t about) {
  seen_.sessions.insert({at, about, seen_.processes[at]});
  seen_.last_session[{at, about}] = now();
}

void event_checker::handle_own_event(std::size_t at, const event_type& e) {
  if (e.kind == ilm::event_kind::events_lost || e.kind == ilm::event_kind::network_ended ||
      e.kind == ilm::event_kind::messenger_failed) {
    seen_.fail("wrong event", peer_name(at) + ": " + ilm::describe(e));
  }
}

}  // namespace simulation
