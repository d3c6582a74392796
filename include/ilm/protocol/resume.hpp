#pragma once

#include <ilm/message.hpp>
#include <ilm/protocol/frame.hpp>

#include <algorithm>
#include <cstdint>

namespace ilm::protocol {

/// The cursors at the moment when the nonce that a hello echoes was minted. A fresh hello may be
/// older than an ack that overtook it, but not older than this.
struct floors {
  std::uint64_t acknowledged = 0;
  std::uint64_t received = 0;
  std::uint64_t delivered = 0;  ///< what the peer, in any incarnation, had confirmed as delivered
};

/// What a fresh hello means for the two streams of a pair. Both sides reach verdicts that match,
/// because each compares what it holds with what the other says.
struct verdict {
  /// Whether the hello's sender speaks of this side's present incarnation / is the incarnation
  /// that this side stored.
  bool knows_us = false;
  bool known = false;
  /// This side's store went back: the peer has, or was acknowledged, what this store never saw.
  bool we_rolled_back = false;
  /// The peer's store went back: it lacks what it acknowledged, or forgot what it sent.
  bool peer_rolled_back = false;
  /// The peer is another incarnation than the one stored.
  bool peer_reset = false;
  /// The peer knows, or knew, another incarnation of this side, and this side does not know the
  /// peer.
  bool we_were_lost = false;
  /// The first sequence to send to the peer, and the first to take from it.
  std::uint64_t send_from = 1;
  std::uint64_t take_from = 1;
};

/// Compares a fresh hello with what this side holds. Pure.
inline verdict judge(const cursors& ours, const floors& floor,
                     const hello_record& theirs) noexcept {
  verdict v;
  v.knows_us = theirs.peer == ours.local;
  v.known = theirs.local == ours.peer;
  std::uint64_t they_received = v.knows_us ? theirs.received : 0;
  std::uint64_t we_received = v.known ? ours.received() : 0;

  // What an earlier incarnation of this side confirmed says nothing of this one, which may still
  // have to store where it begins. Once it has, it acknowledged at least that.
  std::uint64_t we_confirmed = std::min(theirs.first - 1, theirs.acknowledged);
  std::uint64_t they_confirmed = std::min(floor.delivered, floor.acknowledged);

  bool both = v.knows_us && v.known;
  v.we_rolled_back =
      (both && we_confirmed > ours.delivered()) ||
      (v.knows_us && (theirs.received >= ours.outbox_next || theirs.acknowledged > we_received));
  v.peer_rolled_back =
      (both && theirs.delivered < they_confirmed) ||
      (v.known && (they_received < floor.acknowledged || theirs.next <= floor.received));
  // A peer that had stored this side's incarnation and speaks of another one met a later one.
  v.we_rolled_back = v.we_rolled_back || (v.known && ours.introduced != 0 && theirs.peer &&
                                          !v.knows_us && !v.peer_rolled_back);
  v.peer_reset = ours.peer && !v.known;
  v.we_were_lost = !ours.peer && (v.knows_us ? bool(theirs.former_peer) : bool(theirs.peer));
  v.send_from = std::max(ours.outbox_first, they_received + 1);
  v.take_from = std::max(theirs.first, we_received + 1);
  return v;
}

}  // namespace ilm::protocol
