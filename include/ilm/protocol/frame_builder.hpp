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
                const sender& s, const receiver& r) noexcept
      : options_(o), setup_(setup), durable_(durable), sender_(s), receiver_(r) {}

  frame_header header(const session_key& session, std::uint64_t number = 0) const noexcept {
    frame_header h;
    h.version = session.version;
    h.source_tag = tag_of(durable_.local());
    h.destination_tag = tag_of(durable_.peer());
    h.session_tag = session.tag;
    h.number = number;
    return h;
  }

  frame_writer begin(std::vector<std::byte>& out, const session_key& session,
                     std::uint64_t number = 0) const {
    return frame_writer(out, header(session, number), options_.checksum, setup_.frame_limit);
  }

  /// A frame with a hello. Nonce, echo and proof are those of `h`, the rest is filled in.
  void hello(std::vector<std::byte>& out, hello_record& h) const {
    assert(h.nonce != 0);
    const cursors& stored = durable_.stored();
    h.support = setup_.support;
    h.local = durable_.local();
    h.peer = stored.peer;
    h.former_peer = stored.former_peer;
    h.former_received = stored.former_received;
    h.first = sender_.delivered() + 1;
    h.next = stored.outbox_next;
    h.first_epoch = sender_.delivered_epoch();
    h.acknowledged = durable_.acknowledged();
    h.received = stored.received();
    h.delivered = advertised(stored).delivered();
    h.received_epoch = stored.received_epoch;
    h.delivered_epoch = stored.advertised_epoch;
    h.received_bytes = receiver_.received_bytes();
    h.credit_sequence = stored.received() + options_.credit_messages -
                        std::min<std::uint64_t>(receiver_.unread(), options_.credit_messages);
    h.credit_bytes = receiver_.hello_credit_bytes();
    h.maximum_message_size = options_.maximum_message_size;
    h.source = setup_.local_id.view();
    h.destination = setup_.peer_id.view();
    frame_writer writer = begin(out, handshake_key);
    writer.hello(h);
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
    const cursors& stored = durable_.stored();
    ack_record a;
    a.received = stored.received();
    a.delivered = advertised(stored).delivered();
    a.delivered_epoch = stored.advertised_epoch;
    a.received_bytes = receiver_.received_bytes();
    a.credit_sequence = receiver_.credit_sequence();
    a.credit_bytes = receiver_.credit_bytes();
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
  const options& options_;
  const association_setup& setup_;
  const durable_state& durable_;
  const sender& sender_;
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
  if (f.header.source_tag != tag_of(h.local) || f.header.session_tag != 0 || !f.data.empty() ||
      f.ack) {
    return error::malformed_frame;
  }
  if (!credit_in_range(h.credit_sequence, h.received, h.credit_bytes, h.received_bytes)) {
    return error::credit_out_of_range;
  }
  return {};
}

/// The terms that a hello grants, given where its receiver's stream goes on.
inline session_terms terms_of(const hello_record& h, std::uint64_t send_from,
                              std::size_t frame_limit) noexcept {
  assert(send_from != 0);
  session_terms t;
  t.send_from = send_from;
  t.received_bytes = h.received_bytes;
  // Relative to `send_from`: a peer that does not know this side yet counts from where it begins.
  t.credit_sequence = send_from - 1;
  if (h.credit_sequence > h.received) t.credit_sequence += h.credit_sequence - h.received;
  t.credit_bytes = h.credit_bytes;
  t.maximum_message =
      static_cast<std::size_t>(std::min<std::uint64_t>(h.maximum_message_size, frame_limit));
  return t;
}

}  // namespace ilm::inline v0::protocol
