#pragma once

#include <ilm/event.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <cstdint>
#include <optional>

namespace ilm::inline v0::protocol {

/// The cursors at the moment when the nonce that a hello echoes was created. A fresh hello may be
/// older than an ack that overtook it, but not older than this.
struct watermarks {
  std::uint64_t acknowledged = 0;  ///< the highest `received` that the peer had acknowledged
  std::uint64_t received = 0;      ///< the highest sequence accepted from the peer
  std::uint64_t delivered = 0;     ///< the highest that any incarnation of the peer had confirmed
};

/// This side, as far as a hello is compared with it.
struct local_view {
  cursors ours;  ///< stored or not yet, with the advertised `delivered`
  watermarks at_nonce;
  std::uint64_t highest_sent = 0;
  /// `delivered` where the last session began, or, before the first one, where this life did.
  std::uint64_t baseline_delivered = 0;
};

/// A proven hello means one of these: the first that applies.
enum class outcome : std::uint8_t {
  local_rolled_back,  ///< this side has to create an incarnation for the pair; no session opens
  peer_rolled_back,   ///< the peer has to; no session opens
  peer_reset,         ///< the peer is another incarnation than the one stored: adopt it
  local_store_lost,   ///< the peer knows an earlier incarnation of this side: adopt the peer
  first_contact,      ///< adopt the peer
  gap,                ///< the peer no longer holds all that is missing here: go on behind the gap
  resume,
};

/// An outcome, and all that follows from it. Both sides reach outcomes that match, because each
/// compares its own cursors with those of the other.
struct reconciliation {
  outcome result = outcome::resume;
  bool peer_has_our_incarnation = false;  ///< the hello speaks of this side's present incarnation
  bool peer_is_as_stored = false;         ///< its sender is the incarnation that this side stored
  std::uint64_t send_from = 1;            ///< the first sequence to send
  std::uint64_t take_from = 1;            ///< the first one to accept
  /// The message whose epoch has to be the hello's `received_epoch`; 0 for none.
  std::uint64_t verify = 0;
  std::optional<event_record> event;

  bool opens_session() const noexcept {
    return result != outcome::local_rolled_back && result != outcome::peer_rolled_back;
  }
  /// Whether the peer's stream begins anew, or behind a gap.
  bool restarts_stream() const noexcept { return result != outcome::resume; }
};

/// The peer's store went back: it lacks messages that it acknowledged, or forgot some that it sent.
inline bool peer_rolled_back(const local_view& here, const hello_record& theirs) noexcept {
  bool has_ours = theirs.peer == here.ours.local;
  bool as_stored = theirs.local == here.ours.peer;
  const watermarks& at = here.at_nonce;
  // The confirmation of an earlier incarnation of the peer does not bind the present one, which may
  // still have to store where it begins. Once it has, it acknowledged at least that.
  std::uint64_t confirmed = std::min(at.delivered, at.acknowledged);
  std::uint64_t received = has_ours ? theirs.received : 0;
  return (has_ours && as_stored && theirs.delivered < confirmed) ||
         (as_stored && (received < at.acknowledged || theirs.next <= at.received));
}

/// This side's store went back: the peer has, or was acknowledged, messages that this store never
/// saw, or it has met a later incarnation of this side than the one that it had shown to have.
inline bool local_rolled_back(const local_view& here, const hello_record& theirs) noexcept {
  const cursors& ours = here.ours;
  bool has_ours = theirs.peer == ours.local;
  bool as_stored = theirs.local == ours.peer;
  std::uint64_t confirmed = std::min(theirs.first - 1, theirs.acknowledged);
  std::uint64_t received = as_stored ? ours.received() : 0;
  if (has_ours && as_stored && confirmed > ours.delivered()) return true;
  if (has_ours && (theirs.received >= ours.outbox_next || theirs.acknowledged > received)) {
    return true;
  }
  return as_stored && ours.peer_confirmed_incarnation != 0 && theirs.peer && !has_ours &&
         !peer_rolled_back(here, theirs);
}

/// The event of a side that was rolled back. `peer_is_as_stored` is that of the reconciliation.
inline event_record rolled_back_event(const local_view& here, const hello_record& theirs,
                                      bool peer_is_as_stored) noexcept {
  std::uint64_t received = peer_is_as_stored ? here.ours.received() : 0;
  // Messages consumed since the baseline may be repetitions already.
  std::uint64_t delivered = peer_is_as_stored ? here.baseline_delivered : 0;
  bool repeats = theirs.first - 1 > delivered;
  event_record e(event_kind::rolled_back);
  e.outbound = sequence_range{here.ours.outbox_first, theirs.received};
  e.inbound = sequence_range{(repeats ? delivered : received) + 1,
                             std::max(theirs.acknowledged, theirs.first - 1)};
  return e;
}

namespace detail {

inline outcome outcome_of(const local_view& here, const hello_record& theirs,
                          const reconciliation& r) noexcept {
  if (local_rolled_back(here, theirs)) return outcome::local_rolled_back;
  if (peer_rolled_back(here, theirs)) return outcome::peer_rolled_back;
  if (here.ours.peer && !r.peer_is_as_stored) return outcome::peer_reset;
  if (!here.ours.peer) {
    bool knew_another = r.peer_has_our_incarnation ? bool(theirs.former_peer) : bool(theirs.peer);
    return knew_another ? outcome::local_store_lost : outcome::first_contact;
  }
  return theirs.first > here.ours.received() + 1 ? outcome::gap : outcome::resume;
}

inline std::optional<event_record> event_of(const local_view& here, const hello_record& theirs,
                                            const reconciliation& r) noexcept {
  event_record e;
  switch (r.result) {
    case outcome::local_rolled_back:
      return rolled_back_event(here, theirs, r.peer_is_as_stored);
    case outcome::peer_rolled_back:
      e.kind = event_kind::peer_rolled_back;
      e.outbound = sequence_range{(r.peer_has_our_incarnation ? theirs.received : 0) + 1,
                                  here.at_nonce.acknowledged};
      e.inbound = sequence_range{theirs.next, here.at_nonce.received};
      return e;
    case outcome::peer_reset:
      e.kind = event_kind::peer_reset;
      e.outbound = sequence_range{here.ours.outbox_first, here.highest_sent};
      e.inbound = sequence_range{here.ours.received() + 1, maximum_sequence};
      return e;
    case outcome::local_store_lost:
      e.kind = event_kind::store_lost;
      e.outbound = sequence_range{
          (r.peer_has_our_incarnation ? theirs.former_received : theirs.received) + 1,
          maximum_sequence};
      e.inbound = sequence_range{1, theirs.first - 1};
      return e;
    case outcome::gap:
      e.kind = event_kind::gap;
      e.inbound = sequence_range{here.ours.received() + 1, r.take_from - 1};
      return e;
    case outcome::first_contact:
    case outcome::resume:
      break;
  }
  return std::nullopt;
}

}  // namespace detail

/// Compares a fresh hello with the state of this side. Pure.
inline reconciliation reconcile(const local_view& here, const hello_record& theirs) noexcept {
  const cursors& ours = here.ours;
  reconciliation r;
  r.peer_has_our_incarnation = theirs.peer == ours.local;
  r.peer_is_as_stored = theirs.local == ours.peer;
  std::uint64_t they_received = r.peer_has_our_incarnation ? theirs.received : 0;
  std::uint64_t we_received = r.peer_is_as_stored ? ours.received() : 0;
  r.send_from = std::max(ours.outbox_first, they_received + 1);
  r.take_from = std::max(theirs.first, we_received + 1);
  if (they_received >= ours.outbox_first - 1) r.verify = they_received;
  r.result = detail::outcome_of(here, theirs, r);
  r.event = detail::event_of(here, theirs, r);
  return r;
}

}  // namespace ilm::inline v0::protocol
