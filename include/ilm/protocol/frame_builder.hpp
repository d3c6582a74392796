#pragma once

#include <ilm/error.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/association_setup.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/durable_state.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/frame_writer.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/sender.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>
#include <vector>

namespace ilm::inline v0::protocol {

/// Fills frames with the state of an association. It reads that state and changes nothing.
class frame_builder {
 public:
  frame_builder(const options& o, const association_setup& setup, const durable_state& durable,
                const receiver& r) noexcept
      : options_(o), setup_(setup), durable_(durable), receiver_(r) {}

  frame_writer begin(std::vector<std::byte>& out, const session_key& session,
                     std::uint64_t number = 0) const {
    return frame_writer(out, {session.version, session.tag, number}, options_.checksum,
                        setup_.frame_limit);
  }

  /// A frame with a hello. Nonce, echo and proof are those of `h`, the rest is filled in.
  void hello(std::vector<std::byte>& out, hello_record& h) const {
    assert(h.nonce != 0);
    const cursors& stored = durable_.stored();
    h.support = setup_.support;
    h.claim = claim_of(stored);
    h.base = stored.history.base;
    h.origin = stored.history.origin;
    h.stream = stored.outbox.stream;
    h.first = stored.outbox.first;
    h.erased_hash = stored.outbox.erased_hash;
    h.follows = stored.inbox.stream;
    h.credit.received_bytes = receiver_.received_bytes();
    h.credit.sequence = stored.inbox.received() + options_.credit_messages -
                        std::min<std::uint64_t>(receiver_.uncredited(), options_.credit_messages);
    h.credit.bytes = receiver_.hello_credit_bytes();
    h.maximum_message_size = options_.maximum_message_size;
    h.source = setup_.local_id.view();
    h.destination = setup_.peer_id.view();
    frame_writer writer = begin(out, handshake_key);
    writer.hello(h);
    writer.finish();
  }

  void challenge(std::vector<std::byte>& out, std::uint64_t nonce) const {
    frame_writer writer = begin(out, handshake_key);
    writer.challenge(nonce);
    writer.finish();
  }

  /// A frame that tells a peer of another version which ones this side speaks.
  void versions(std::vector<std::byte>& out) const {
    frame_writer writer = begin(out, handshake_key);
    writer.versions({setup_.support.lowest_version, setup_.support.highest_version});
    writer.finish();
  }

  /// Not before the peer is stored: see `association`.
  ack_record ack() const {
    assert(durable_.peer_is_stored());
    ack_record a;
    a.claim = claim_of(durable_.stored());
    a.credit.received_bytes = receiver_.received_bytes();
    // A gap that is skipped moves the cursors in memory first.
    a.credit.sequence =
        std::min(receiver_.credit_sequence(), a.claim.received + options_.credit_messages);
    a.credit.bytes = receiver_.credit_bytes();
    a.echo = receiver_.echo();
    if (!setup_.reliable) a.ranges = receiver_.sacked();
    return a;
  }

  /// A frame with a bye, and a last ack.
  void bye(std::vector<std::byte>& out, const session_key& session) const {
    frame_writer writer = begin(out, session);
    if (durable_.peer_is_stored()) writer.ack(ack());
    writer.bye();
    writer.finish();
  }

 private:
  static claim claim_of(const cursors& stored) noexcept {
    claim c;
    c.mark = stored.history.mark;
    c.delivered = stored.history.mark_delivered;
    c.delivered_hash = stored.history.mark_hash;
    c.confirmed = stored.history.confirmed;
    c.seen = stored.history.seen;
    c.received = stored.inbox.received();
    c.received_hash = stored.inbox.received_hash;
    c.acknowledged = stored.outbox.acknowledged;
    return c;
  }

  const options& options_;
  const association_setup& setup_;
  const durable_state& durable_;
  const receiver& receiver_;
};

/// Why a frame with a hello is not one for this association; none if it is.
inline std::error_code check_hello(const frame& f, const association_setup& setup) noexcept {
  assert(f.hello);
  const hello_record& h = *f.hello;
  auto same = [](std::span<const std::byte> a, const bytes& b) {
    return std::equal(a.begin(), a.end(), b.view().begin(), b.view().end());
  };
  if (!same(h.destination, setup.local_id)) return error::wrong_destination;
  if (!same(h.source, setup.peer_id)) return error::mismatched_source;
  return f.header.session == 0 ? std::error_code() : error::malformed_frame;
}

/// The terms that a hello grants, given where its receiver's stream goes on, and the hash before.
inline session_terms terms_of(const hello_record& h, std::uint64_t send_from,
                              const stream_hash& before, std::size_t frame_limit) noexcept {
  assert(send_from != 0);
  session_terms t;
  t.send_from = send_from;
  t.before = before;
  t.granted = h.credit;
  // Relative to `send_from`: a peer that does not know this side yet counts from where it begins.
  t.granted.sequence = send_from - 1;
  if (h.credit.sequence > h.claim.received) {
    t.granted.sequence += h.credit.sequence - h.claim.received;
  }
  t.maximum_message =
      static_cast<std::size_t>(std::min<std::uint64_t>(h.maximum_message_size, frame_limit));
  return t;
}

}  // namespace ilm::inline v0::protocol
