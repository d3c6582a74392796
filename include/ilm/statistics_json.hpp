#pragma once

#include <ilm/event.hpp>
#include <ilm/printable.hpp>
#include <ilm/statistics.hpp>

#include <nlohmann/json.hpp>

#include <string>
#include <string_view>
#include <type_traits>

// JSON forms of a messenger's statistics and events, for logs and dashboards. Times are in
// nanoseconds. Text is as `printable` shows it, so that `dump()` does not throw: ids and texts come
// from strangers. An id is as `printable_id` shows it; one that is no text keeps its own JSON form,
// if it has one, with each text inside as `printable_id` shows it.

namespace ilm::inline v0 {

namespace detail {

/// Each text inside, keys included, as `printable_id` shows it: two keys stay two.
inline nlohmann::json printable_json(const nlohmann::json& in) {
  if (in.is_string()) return printable_id(in.get_ref<const std::string&>());
  if (!in.is_structured()) return in;
  nlohmann::json out = in.is_array() ? nlohmann::json::array() : nlohmann::json::object();
  for (auto at = in.begin(); at != in.end(); ++at) {
    if (in.is_array()) {
      out.push_back(printable_json(*at));
    } else {
      out[printable_id(at.key())] = printable_json(*at);
    }
  }
  return out;
}

template <class PeerId>
nlohmann::json json_of_id(const PeerId& id) {
  constexpr bool is_text = std::is_convertible_v<const PeerId&, std::string_view>;
  if constexpr (!is_text && std::is_constructible_v<nlohmann::json, const PeerId&>) {
    return printable_json(nlohmann::json(id));
  } else {
    return printable_id(id);
  }
}

}  // namespace detail

template <class PeerId>
void to_json(nlohmann::json& out, const peer_statistics<PeerId>& s) {
  out = nlohmann::json{{"peer", detail::json_of_id(s.peer)},
                       {"connected", s.connected},
                       {"outbox_depth", s.outbox_depth},
                       {"inbox_depth", s.inbox_depth},
                       {"oldest_age_ns", s.oldest_age.count()},
                       {"in_flight", s.in_flight},
                       {"round_trip_ns", s.round_trip.count()},
                       {"accepted", s.accepted},
                       {"delivered", s.delivered},
                       {"received", s.received},
                       {"resent", s.resent},
                       {"duplicates_dropped", s.duplicates_dropped},
                       {"frames_sent", s.frames_sent},
                       {"frames_received", s.frames_received},
                       {"frames_stale", s.frames_stale},
                       {"frames_rejected", s.frames_rejected}};
}

template <class PeerId>
void to_json(nlohmann::json& out, const messenger_statistics<PeerId>& s) {
  out = nlohmann::json{{"peers", s.peers},
                       {"commits", s.commits},
                       {"commits_failed", s.commits_failed},
                       {"uncommitted_messages", s.uncommitted_messages},
                       {"uncommitted_bytes", s.uncommitted_bytes},
                       {"held_bytes", s.held_bytes},
                       {"events_lost", s.events_lost}};
}

inline void to_json(nlohmann::json& out, const sequence_range& r) {
  out = nlohmann::json{{"first", r.first}, {"last", r.last}};
}

/// Empty ranges, a count of 1, and whatever the event does not name, are left out. `features` is a
/// bit set; `lost` has a member for each kind.
template <class PeerId>
void to_json(nlohmann::json& out, const event<PeerId>& e) {
  out = nlohmann::json{{"kind", std::string(name_of(e.kind))}};
  if (e.peer) out["peer"] = detail::json_of_id(*e.peer);
  if (e.error) out["error"] = printable(e.error.message());
  if (!e.text.empty()) out["text"] = printable(e.text);
  if (!e.outbound.empty()) out["outbound"] = e.outbound;
  if (!e.inbound.empty()) out["inbound"] = e.inbound;
  if (e.peer_versions.highest != 0) {
    out["peer_versions"] = {{"lowest", e.peer_versions.lowest},
                            {"highest", e.peer_versions.highest}};
  }
  if (e.features != 0) out["features"] = e.features;
  if (e.count > 1) out["count"] = e.count;
  for (const event_count& l : e.lost) out["lost"][std::string(name_of(l.kind))] = l.count;
}

}  // namespace ilm::inline v0
