#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/message.hpp>
#include <ilm/printable.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// The events of a messenger. `outbound` and `inbound` are the ranges of sequences to and from the
/// peer that an event names.
enum class event_kind : std::uint8_t {
  /// A session with the peer is open: data flows.
  peer_connected,
  /// The session ended; unconfirmed messages stay in the outbox.
  peer_disconnected,
  /// The peer lost its store, or began a new history. outbound: sent to the old one and not
  /// confirmed as delivered, so that they are sent again and may come twice. inbound: those that
  /// the old one may have accepted, and that will now never come; the end is open.
  peer_reset,
  /// This side lost its store, or forgot the peer: the peer knows an older history. outbound: those
  /// that the old one may have accepted. inbound: those that it may have consumed. Both ends are
  /// open.
  store_lost,
  /// The peer's store went back to an older state. outbound: those that it may consume twice, or no
  /// longer has; they are sent again. inbound: those that it may have accepted, and that will now
  /// never come; the end is open.
  peer_rolled_back,
  /// This side's store went back to an older state. outbound: those that the lost state may have
  /// accepted; all that the outbox holds may come twice. inbound: those that it may have consumed.
  /// Both ends are open.
  rolled_back,
  /// All that is kept of the peer is about to be dropped, as `forget` asked. outbound: not
  /// confirmed as delivered. inbound: not consumed, of the peer's present stream; the unread
  /// messages of a former one, whose sequences may be the same, are in forget_report::unread alone.
  peer_forgotten,
  /// The peer's first message not received is past one it no longer holds. inbound: the gap.
  gap,
  /// A frame was dropped; `error` says why.
  frame_rejected,
  /// The two sides speak no common version of the protocol, or one requires a feature that the
  /// other does not understand: `error` says which side to upgrade, `peer_versions` what the peer
  /// speaks, `features` what is missing. Nothing flows; both sides report it. Messages stay stored.
  peer_incompatible,
  /// The next message to the peer (outbound) exceeds the limit of the peer or of the network.
  stream_blocked,
  /// The application did not take a message (inbound); it will be offered again. `text` is that
  /// of the exception.
  delivery_failed,
  /// The application gave a message (inbound) up with outcome::skip; `text` is its reason. It
  /// counts
  /// as consumed.
  message_skipped,
  /// An operation of the store failed with `error`, and `text` is that of the exception. It is
  /// tried again, but for `forget` and a shutdown's close; sends fail meanwhile. With a peer: the
  /// store refuses the changes of this peer, and takes the rest. If a stored message fails its
  /// check, outbound or inbound names it: it is never sent or delivered, and all behind it waits.
  store_failed,
  /// The store works again; with a peer: it took the peer's changes.
  store_recovered,
  /// The network could not open a session with the peer, or with another in its name, or it could
  /// not send a frame to the peer: `error` and `text` say why. It may still try.
  network_problem,
  /// The network ended with `error` and `text`; nothing will be sent or received any more.
  network_ended,
  /// The messenger ended with `error` and `text`: those of an exception that is no error of a
  /// store, a network or a delivery. A peer id could not be copied or compared, say, or there was
  /// no memory. All requests fail with the error; the store is free for the next messenger.
  messenger_failed,
  /// Events were dropped because nobody read them; `lost` tells how many, by kind, and
  /// outbound.last how many in all.
  events_lost,
};

/// How many kinds there are.
inline constexpr std::size_t event_kinds = static_cast<std::size_t>(event_kind::events_lost) + 1;

/// The name of an event as in the source.
inline std::string_view name_of(event_kind kind) noexcept {
  switch (kind) {
    case event_kind::peer_connected:
      return "peer_connected";
    case event_kind::peer_disconnected:
      return "peer_disconnected";
    case event_kind::peer_reset:
      return "peer_reset";
    case event_kind::store_lost:
      return "store_lost";
    case event_kind::peer_rolled_back:
      return "peer_rolled_back";
    case event_kind::rolled_back:
      return "rolled_back";
    case event_kind::peer_forgotten:
      return "peer_forgotten";
    case event_kind::gap:
      return "gap";
    case event_kind::frame_rejected:
      return "frame_rejected";
    case event_kind::peer_incompatible:
      return "peer_incompatible";
    case event_kind::stream_blocked:
      return "stream_blocked";
    case event_kind::delivery_failed:
      return "delivery_failed";
    case event_kind::message_skipped:
      return "message_skipped";
    case event_kind::store_failed:
      return "store_failed";
    case event_kind::store_recovered:
      return "store_recovered";
    case event_kind::network_problem:
      return "network_problem";
    case event_kind::network_ended:
      return "network_ended";
    case event_kind::messenger_failed:
      return "messenger_failed";
    case event_kind::events_lost:
      return "events_lost";
  }
  return "unknown";
}

namespace detail {

/// The smallest range that has both.
inline sequence_range cover(const sequence_range& a, const sequence_range& b) noexcept {
  if (a.empty()) return b;
  if (b.empty()) return a;
  return {std::min(a.first, b.first), std::max(a.last, b.last)};
}

}  // namespace detail

/// An inclusive range of versions of the protocol; 0 and 0 for none.
struct version_range {
  std::uint8_t lowest = 0;
  std::uint8_t highest = 0;

  friend bool operator==(const version_range&, const version_range&) = default;
};

/// How many events of a kind.
struct event_count {
  event_kind kind{};
  std::uint64_t count = 0;

  friend bool operator==(const event_count&, const event_count&) = default;
};

/// An event without the peer's name, as the protocol reports it.
struct event_record {
  event_record() = default;
  explicit event_record(event_kind event, detail::failure why = {}) noexcept
      : kind(event), error(why.code), text(std::move(why.text)) {}

  event_kind kind{};
  std::error_code error;
  /// The text of the exception that a handler, a store, a network or a codec threw, that a network
  /// gave with a problem, or the reason of an outcome: as `printable` shows it, at most 512 bytes.
  /// Empty where there was none, or where it says no more than `error.message()`.
  std::string text;
  sequence_range outbound;
  sequence_range inbound;
  version_range peer_versions;
  std::uint64_t features = 0;  ///< a bit for each
  /// How many events this one stands for. What repeats for one peer, kind and error is told once,
  /// and then summed up at intervals that grow from 10 s to an hour: the ranges cover those of all.
  /// Where sessions or failures of the store come and go fast, one event stands for several of
  /// both kinds, and tells how things stand.
  std::uint64_t count = 1;
  std::vector<event_count> lost;  ///< of events_lost

  /// Makes this the sum of itself and a later event of the same kind.
  void merge(const event_record& later) {
    count += later.count;
    error = later.error;
    text = later.text;
    outbound = detail::cover(outbound, later.outbound);
    inbound = detail::cover(inbound, later.inbound);
    peer_versions = later.peer_versions;
    features = later.features;
  }
};

/// An event of a messenger; see event_kind for the meaning of the fields.
template <class PeerId>
struct event : event_record {
  event() = default;
  event(std::optional<PeerId> subject, const event_record& r)
      : event_record(r), peer(std::move(subject)) {}

  /// The peer concerned; none if it concerns the store or the network as a whole.
  std::optional<PeerId> peer;
};

/// One line of English about an event, for logs. It ends with the text of the event, or with the
/// message of its error if there is no text.
inline std::string describe(const event_record& e) {
  constexpr std::uint64_t unbounded = std::uint64_t{1} << 62;  // no stream gets that far
  std::string text(name_of(e.kind));
  auto range = [&](const char* name, const sequence_range& r) {
    if (r.empty()) return;
    text += std::string(" ") + name + " " + std::to_string(r.first) + "..";
    if (r.last < unbounded) text += std::to_string(r.last);
  };
  if (e.lost.empty()) range("outbound", e.outbound);
  range("inbound", e.inbound);
  if (e.peer_versions.highest != 0) {
    text += " peer_versions " + std::to_string(e.peer_versions.lowest) + ".." +
            std::to_string(e.peer_versions.highest);
  }
  const char* separator = " features ";
  for (unsigned bit = 0; bit < 64; ++bit) {
    if ((e.features >> bit & 1) == 0) continue;
    text += separator + std::to_string(bit);
    separator = ", ";
  }
  separator = " ";
  for (const event_count& l : e.lost) {
    text += separator + std::to_string(l.count) + " " + std::string(name_of(l.kind));
    separator = ", ";
  }
  if (e.count > 1) text += " (" + std::to_string(e.count) + " times)";
  if (!e.text.empty()) {
    text += ": " + e.text;
  } else if (e.error) {
    text += ": " + e.error.message();
  }
  return printable(text);
}

/// A peer's id for people: text as `printable` shows it, with each backslash twice, so that no two
/// ids have one form; numbers as they are; other ids as the digits of their bytes. Throws the
/// codec's exception.
template <class PeerId>
std::string printable_id(const PeerId& id) {
  if constexpr (std::is_convertible_v<const PeerId&, std::string_view>) {
    return detail::printable_prefix(std::string_view(id), std::string::npos, true);
  } else if constexpr (std::is_integral_v<PeerId>) {
    return std::to_string(id);
  } else {
    std::vector<std::byte> encoded;
    codec<PeerId>::encode(id, encoded);
    std::string digits;
    for (std::byte b : encoded) {
      digits += "0123456789abcdef"[std::to_integer<unsigned>(b) >> 4];
      digits += "0123456789abcdef"[std::to_integer<unsigned>(b) & 15];
    }
    return digits;
  }
}

/// The same, beginning with the peer if the event concerns one.
template <class PeerId>
std::string describe(const event<PeerId>& e) {
  std::string text = describe(static_cast<const event_record&>(e));
  return e.peer ? printable_id(*e.peer) + ": " + text : text;
}

}  // namespace ilm::inline v0
