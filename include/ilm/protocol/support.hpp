#pragma once

#include <ilm/error.hpp>
#include <ilm/event.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <system_error>

namespace ilm::inline v0::protocol {

/// The versions and features of the protocol that a build speaks. A feature is a bit: the build
/// understands it, and may require it of the peer.
struct protocol_support {
  std::uint8_t lowest_version = 1;
  std::uint8_t highest_version = 1;
  std::uint64_t understood = 0;
  std::uint64_t required = 0;

  bool speaks(std::uint8_t version) const noexcept {
    return lowest_version <= version && version <= highest_version;
  }
  bool valid() const noexcept {
    return lowest_version != 0 && lowest_version <= highest_version &&
           (required & ~understood) == 0;
  }
  friend bool operator==(const protocol_support&, const protocol_support&) = default;
};

/// The version and the features of a session: bound to it, and forgotten with it.
struct agreement {
  std::uint8_t version = 0;
  std::uint64_t features = 0;
};

/// The highest version that both speak, and the features that both understand. Only for two that
/// are compatible.
inline agreement agree(const protocol_support& a, const protocol_support& b) noexcept {
  return {std::min(a.highest_version, b.highest_version), a.understood & b.understood};
}

/// The event of a side whose peer speaks no common version; none if there is one.
inline std::optional<event_record> version_conflict(const protocol_support& here,
                                                    std::uint8_t lowest,
                                                    std::uint8_t highest) noexcept {
  if (lowest <= here.highest_version && here.lowest_version <= highest) return std::nullopt;
  event_record e(event_kind::peer_incompatible, lowest > here.highest_version
                                                    ? error::peer_version_too_new
                                                    : error::peer_version_too_old);
  e.peer_versions = version_range{lowest, highest};
  return e;
}

/// The event of a side that cannot work with its peer; none if it can.
inline std::optional<event_record> conflict(const protocol_support& here,
                                            const protocol_support& theirs) noexcept {
  if (auto e = version_conflict(here, theirs.lowest_version, theirs.highest_version)) return e;
  std::uint64_t missing_here = theirs.required & ~here.understood;
  std::uint64_t missing_there = here.required & ~theirs.understood;
  if ((missing_here | missing_there) == 0) return std::nullopt;
  event_record e(event_kind::peer_incompatible,
                 missing_here != 0 ? error::feature_missing_here : error::feature_missing_at_peer);
  e.peer_versions = version_range{theirs.lowest_version, theirs.highest_version};
  e.features = missing_here != 0 ? missing_here : missing_there;
  return e;
}

}  // namespace ilm::inline v0::protocol
