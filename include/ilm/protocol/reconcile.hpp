#pragma once

#include <ilm/event.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/stream_hash.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>
#include <span>

namespace ilm::inline v0::protocol {

/// A peer's claim means one of these: the first that applies.
enum class outcome : std::uint8_t {
  claim_implausible,  ///< the peer claims what no history of this side reaches
  local_store_lost,   ///< the peer knows a history of this side, of which nothing is left here
  local_rolled_back,  ///< the peer knows more of this side than its store does
  first_contact,      ///< nothing of the peer is stored here: adopt it
  peer_is_behind,     ///< the peer's store went back, which it does not know yet: show it
  peer_store_lost,    ///< the peer's history began anew, without a store: adopt it
  peer_rolled_back,   ///< the peer's history began anew, from an older state: adopt it
  resume,
};

/// Whose streams a claim speaks of.
struct common_ground {
  bool knows_our_history = true;  ///< the peer has stored a stamp of this side's present history
  bool follows_our_stream = true;
  bool follows_peers_stream = true;  ///< this side follows the peer's stream

  static common_ground of(const cursors& ours, const hello_record& theirs) noexcept {
    common_ground g;
    g.knows_our_history = theirs.claim.seen && theirs.claim.seen.count >= ours.history.base;
    g.follows_our_stream = theirs.follows == ours.outbox.stream;
    g.follows_peers_stream = theirs.stream == ours.inbox.stream;
    return g;
  }
};

/// The peer has stored a stamp of this side that is not of this side's history.
inline bool knows_foreign_stamp(const cursors& ours, const claim& c,
                                const common_ground& g) noexcept {
  const lineage& own = ours.history;
  if (!g.knows_our_history) {
    // It has not adopted this history yet. Then it shows the stamp that it showed when the one
    // before broke, or the last one of that, or an older one: a later one is of another life.
    std::uint64_t older = own.confirmed ? own.confirmed.count : own.parted.count;
    return c.seen.count > older && c.seen != own.parted && c.seen != own.former;
  }
  bool forked = (c.seen.count == own.mark.count && c.seen != own.mark) ||
                (c.seen.count == own.confirmed.count && c.seen != own.confirmed);
  bool follows_another = c.seen.count >= ours.outbox.stream.count && !g.follows_our_stream;
  return c.seen.count > own.mark.count || forked || follows_another;
}

/// The peer was told of a message received that is not here.
inline bool misses_received(const cursors& ours, const claim& c, const common_ground& g) noexcept {
  if (!g.knows_our_history) return false;
  if (g.follows_peers_stream) return c.acknowledged > ours.inbox.received();
  return !ours.met() && c.acknowledged > 0;
}

/// The peer was told of a stamp of its that is not here. The count of `seen` only grows, so another
/// one of the same count cannot have followed it.
inline bool misses_seen(const cursors& ours, const claim& c, const common_ground& g) noexcept {
  const stamp& seen = ours.history.seen;
  return g.knows_our_history && (c.confirmed.count > seen.count ||
                                 (c.confirmed.count == seen.count && c.confirmed != seen));
}

/// The peer has a message of this side beyond the last one. Whether it has the same messages as
/// this side up to there is for their hashes to tell.
inline bool has_unknown_message(const cursors& ours, const claim& c,
                                const common_ground& g) noexcept {
  return g.follows_our_stream && c.received >= ours.outbox.next;
}

/// Whether this side's store went back, as far as cursors tell.
inline bool went_back(const cursors& ours, const claim& c, const common_ground& g) noexcept {
  return knows_foreign_stamp(ours, c, g) || has_unknown_message(ours, c, g) ||
         misses_received(ours, c, g) || misses_seen(ours, c, g);
}

/// The peer told of a stamp of its that its store does not have any more. What it tells is stored,
/// and a fresh hello is no older, so its store went back; a hello of this side will show it so.
/// But what was implausible is not insisted on, as it may have been said in error.
inline bool peer_is_behind(const cursors& ours, const hello_record& theirs) noexcept {
  const stamp &seen = ours.history.seen, &mark = theirs.claim.mark;
  bool older = mark.count < seen.count && seen.count < plausible_count;
  return theirs.base <= seen.count && (older || (mark.count == seen.count && mark != seen));
}

/// The peer's history is not the one that is known here.
inline bool peer_began_anew(const cursors& ours, const hello_record& theirs) noexcept {
  std::uint64_t seen = ours.history.seen.count;
  return theirs.base > seen || theirs.claim.mark.count < seen;
}

/// The peer claims a stamp of this side that neither this history nor one before it can have made.
inline bool is_implausible(const cursors& ours, const claim& c) noexcept {
  return c.seen.count >= plausible_count && c.seen.count > ours.history.mark.count;
}

/// Where this side believed as much of the peer, both were told in error: then what the peer claims
/// counts for nothing, and its history is adopted.
inline void forget_implausible(const cursors& ours, hello_record& theirs) noexcept {
  bool both = is_implausible(ours, theirs.claim) && ours.history.seen.count >= plausible_count &&
              theirs.claim.mark.count < ours.history.seen.count;
  if (both) theirs.claim.seen = {};
}

/// An outcome, and all that follows from it.
struct reconciliation {
  outcome result = outcome::resume;
  common_ground ground;
  /// The peer's (received, hash) is a place of the outgoing stream; unless `lookup` is set, which
  /// is the message whose hash has to be read to know it.
  bool intact = false;
  std::uint64_t lookup = 0;
  bool restarts_stream = false;  ///< the peer's stream is another one than this side follows
  std::uint64_t send_from = 1;   ///< the first sequence to send

  /// Whether this side's history breaks.
  bool breaks() const noexcept {
    return result == outcome::local_store_lost || result == outcome::local_rolled_back;
  }
  bool opens_session() const noexcept {
    return !breaks() && result != outcome::claim_implausible && result != outcome::peer_is_behind;
  }
  bool adopts() const noexcept { return opens_session() && result != outcome::resume; }
};

/// Compares a fresh hello with the state of this side; `hash` is that of the outgoing stream at the
/// hello's `received`, if it is in memory. Pure.
inline reconciliation reconcile(const cursors& ours, const hello_record& theirs,
                                const std::optional<stream_hash>& hash) noexcept {
  const claim& c = theirs.claim;
  reconciliation r;
  r.ground = common_ground::of(ours, theirs);
  bool held = r.ground.follows_our_stream && c.received >= ours.outbox.first - 1 &&
              c.received < ours.outbox.next;
  r.intact = held && hash && *hash == c.received_hash;
  if (held && !hash) r.lookup = c.received;
  r.restarts_stream = !r.ground.follows_peers_stream;
  r.send_from = held ? c.received + 1 : ours.outbox.first;

  bool other_message = held && hash && !r.intact;
  if (is_implausible(ours, c)) {
    r.result = outcome::claim_implausible;
  } else if (went_back(ours, c, r.ground) || other_message) {
    r.result = ours.met() ? outcome::local_rolled_back : outcome::local_store_lost;
  } else if (!ours.met()) {
    r.result = outcome::first_contact;
  } else if (peer_is_behind(ours, theirs)) {
    r.result = outcome::peer_is_behind;
  } else if (peer_began_anew(ours, theirs)) {
    r.result = theirs.origin == lineage_origin::rolled_back ? outcome::peer_rolled_back
                                                            : outcome::peer_store_lost;
  }
  return r;
}

/// The event of a side that found out that its store went back. What the peer has confirmed as
/// delivered is safe, and what it knows to be consumed; all after it, up to now, is not.
inline event_record event_of_own_loss(const cursors& ours, const hello_record& theirs,
                                      const reconciliation& r) noexcept {
  assert(r.breaks());
  // The numbers of another stream, of a life that began who knows where, may be lower.
  bool of_another_life = theirs.follows && !r.ground.follows_our_stream;
  std::uint64_t safe = of_another_life ? 0 : ours.outbox.first - 1;
  event_record e(r.result == outcome::local_store_lost ? event_kind::store_lost
                                                       : event_kind::rolled_back);
  e.outbound = sequence_range{safe + 1, maximum_sequence};
  e.inbound = sequence_range{ours.history.confirmed_delivered + 1, maximum_sequence};
  return e;
}

/// The event of a side that adopts a peer's new history; none on the first contact. `received` is
/// all that was accepted of the peer's stream.
inline std::optional<event_record> event_of_adoption(const cursors& ours,
                                                     const hello_record& theirs,
                                                     const reconciliation& r) noexcept {
  assert(r.adopts());
  if (r.result == outcome::first_contact) return std::nullopt;
  event_record e(r.result == outcome::peer_rolled_back ? event_kind::peer_rolled_back
                                                       : event_kind::peer_reset);
  e.outbound = sequence_range{std::min(theirs.claim.delivered, ours.outbox.first - 1) + 1,
                              ours.outbox.next - 1};
  std::uint64_t received = ours.inbox.received();
  if (r.restarts_stream) received = std::min(received, theirs.first - 1);
  e.inbound = sequence_range{received + 1, maximum_sequence};
  return e;
}

// The changes of a history. Each is part of one commit.

/// This side's history breaks: it begins anew behind every stamp that the peer showed, and behind
/// the one of the count `in_commit`.
inline void break_history(cursors& ours, const hello_record& theirs, const reconciliation& r,
                          std::uint64_t in_commit, std::uint64_t random) noexcept {
  assert(r.breaks());
  lineage& own = ours.history;
  std::uint64_t highest = std::max({own.mark.count, theirs.claim.seen.count, in_commit});
  own.former = own.mark;
  own.mark = stamp{highest + 1, random};
  own.mark_delivered = own.confirmed_delivered;
  own.mark_hash = own.confirmed_hash;
  own.base = own.mark.count;
  own.origin = ours.met() ? lineage_origin::rolled_back : lineage_origin::store_lost;
  own.parted = theirs.claim.seen;
  if (!r.intact) {
    ours.outbox.stream = own.mark;
    ours.outbox.acknowledged = 0;
  }
}

/// The peer's new history, and its stream if that is another one. The caller moves the cursors of
/// the inbox.
inline void adopt_history(cursors& ours, const hello_record& theirs,
                          const reconciliation& r) noexcept {
  assert(r.adopts());
  lineage& own = ours.history;
  own.seen = theirs.claim.mark;
  own.confirmed = {};
  ours.outbox.acknowledged = 0;
  if (!r.restarts_stream) return;
  ours.inbox.stream = theirs.stream;
  own.mark_delivered = own.confirmed_delivered = theirs.first - 1;
  own.mark_hash = own.confirmed_hash = theirs.erased_hash;
}

/// Whether a new stamp is to be made: there is news of this side, messages consumed or `accepted`
/// since the last one, and the peer has stored that.
inline bool stamp_due(const cursors& ours, bool accepted) noexcept {
  const lineage& own = ours.history;
  return own.confirmed == own.mark && (accepted || ours.inbox.delivered() > own.mark_delivered);
}
/// Whether there is something to do for a peer with these stored cursors before its next session:
/// messages wait, or the store is to learn of a stamp. If not, all that a new association would do
/// without a session is to wait for one.
inline bool has_work(const cursors& stored) noexcept {
  const lineage& own = stored.history;
  return stored.outbox.first != stored.outbox.next || stored.inbox.first != stored.inbox.next ||
         (own.confirmed == own.mark && stored.inbox.delivered() > own.mark_delivered);
}
inline void make_stamp(cursors& ours, std::uint64_t random) noexcept {
  lineage& own = ours.history;
  assert(own.confirmed == own.mark);
  own.mark = stamp{own.mark.count + 1, random};
  own.mark_delivered = ours.inbox.delivered();
  own.mark_hash = ours.inbox.delivered_hash;
}

/// A claim that is in order tells which stamp of this side the peer has stored, and its newest one.
/// `base` is where the peer's history began.
inline void apply_stamps(lineage& own, const claim& c, std::uint64_t base) noexcept {
  if (c.seen == own.mark && own.confirmed != own.mark) {
    own.confirmed = own.mark;
    own.confirmed_delivered = own.mark_delivered;
    own.confirmed_hash = own.mark_hash;
  }
  if (base <= own.seen.count && c.mark.count > own.seen.count) own.seen = c.mark;
}

/// The history of this side with a peer of whom nothing is stored. It comes from the store's
/// identity, so that it is the same in each life until it is stored itself.
inline cursors begin_history(const incarnation& store, std::span<const std::byte> peer) noexcept {
  stream_hash seed = extend(stream_hash{store.high, store.low}, 0, 0, peer);
  cursors c;
  c.history.mark = stamp{1, seed.high};
  c.history.base = 1;
  c.outbox.stream = c.history.mark;
  c.outbox.erased_hash = c.outbox.last_hash = extend(seed, 0, 0, {});
  return c;
}

}  // namespace ilm::protocol
