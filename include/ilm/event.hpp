#pragma once

#include <ilm/protocol/notice.hpp>

#include <optional>
#include <string>
#include <utility>

namespace ilm {

/// Something that a messenger reports besides messages; see event_kind for what the fields mean.
template <class PeerId>
struct event : protocol::notice {
  event() = default;
  event(std::optional<PeerId> whose, const protocol::notice& n)
      : protocol::notice(n), peer(std::move(whose)) {}

  /// The peer concerned; none for what concerns the store or the network as a whole.
  std::optional<PeerId> peer;
};

/// One line of English about an event, for logs.
inline std::string describe(const protocol::notice& e) {
  std::string text(name_of(e.kind));
  auto range = [&](const char* name, const sequence_range& r) {
    if (r.empty()) return;
    text += std::string(" ") + name + " " + std::to_string(r.first) + "..";
    if (r.last < (std::uint64_t{1} << 62)) text += std::to_string(r.last);
  };
  range("outbound", e.outbound);
  range("inbound", e.inbound);
  if (e.error) text += ": " + e.error.message();
  return text;
}

}  // namespace ilm
