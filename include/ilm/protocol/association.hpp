#pragma once

#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/handshake.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/page_schedule.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/resume.hpp>
#include <ilm/protocol/retry.hpp>
#include <ilm/protocol/sender.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::protocol {

/// Where the session with a peer stands.
enum class phase : std::uint8_t {
  absent,                ///< the network has no session with the peer
  handshaking,           ///< hellos are exchanged; freshness is not proven
  verifying,             ///< the peer's last message is looked up: do both mean the same one?
  established,           ///< data flows
  refused,               ///< the peer was rolled back; nothing flows until it is a new incarnation
  renewing_incarnation,  ///< this side was rolled back; its new incarnation is being stored
};

/// What never changes in the life of an association.
struct association_setup {
  bytes local_id;
  bytes peer_id;
  std::uint64_t epoch = 0;  ///< names this start of the messenger in every message it accepts
  std::uint64_t seed = 0;
  std::size_t frame_limit = 0;
  std::size_t maximum_message = 0;
  bool reliable = false;  ///< the network loses and reorders nothing within a session
};

/// The protocol with one peer, sans I/O: hand it an input (`handle_*`), then drain its outputs
/// (`poll_*`), in any order, until each gives nothing, and call `handle_timeout` by `deadline()`.
///
/// A `poll_*` consumes: it gives each thing once. Three of them give work: a change to store, a
/// page to read, a message to deliver. Each gives nothing more of its kind before the matching
/// `handle_*` has said how that ended. The core reads no clock, draws no random numbers but from
/// its seed, and never waits.
class association {
 public:
  association(const options& o, association_setup setup, const cursors& stored)
      : options_(o),
        setup_(std::move(setup)),
        random_(setup_.seed),
        stored_(stored),
        local_(stored.local),
        peer_(stored.peer),
        former_peer_(stored.former_peer),
        former_received_(stored.former_received),
        acknowledged_(stored.acknowledged),
        shown_first_(stored.shown_first),
        shown_epoch_(stored.shown_epoch),
        introduced_(stored.introduced != 0),
        found_(as_shown(stored)),
        handshake_(o),
        sender_(o, setup_.reliable, setup_.frame_limit),
        receiver_(o),
        pages_(o),
        delivery_(o.minimum_redelivery_delay, o.maximum_redelivery_delay) {
    sender_.restore(stored);
    receiver_.restore(stored);
  }
  association(const association&) = delete;
  association& operator=(const association&) = delete;

  // Inputs.

  /// Accepts a message for the next change, or refuses it at once. It gets its sequence with that
  /// change: one that fails uses none. `poll_send_result` gives the end of what was accepted.
  std::error_code handle_send(send_id id, bytes contents) {
    if (contents.size() > setup_.maximum_message) return error::message_too_large;
    if (options_.outbox_limit != 0 && outbox_depth() >= options_.outbox_limit) {
      return error::outbox_full;
    }
    submissions_.emplace_back(id, std::move(contents));
    return {};
  }

  /// The network has a session with the peer, or a new one.
  void handle_session_up(timestamp now) {
    end_session();
    network_up_ = true;
    away_ = false;
    if (!closing_ && phase_ != phase::renewing_incarnation) greet(now);
  }

  /// The network has none any more.
  void handle_session_down() {
    end_session();
    network_up_ = false;
    away_ = true;
  }

  void handle_frame(std::span<const std::byte> in, timestamp now) {
    if (in.size() > setup_.frame_limit) return reject(error::frame_too_large);
    if (std::error_code e = read_frame(in, scratch_)) return reject(e);
    if (closing_ || away_) return;
    if (scratch_.hello) return handle_hello_frame(now);
    const frame_header& h = scratch_.header;
    bool ours = h.source_tag == tag_of(peer_) && h.destination_tag == tag_of(local_) &&
                h.session_tag == handshake_.session_tag();
    if (!handshake_.established() || !ours || phase_ == phase::absent) {
      ++stale_frames_;
      return;
    }
    heard_at_ = now;
    if (session_open()) handle_records(now);
    if (scratch_.bye) end_session();
  }

  /// The change that `poll_change` gave is durable.
  void handle_committed(timestamp now) {
    assert(in_commit_);
    const cursors& next = in_commit_->next;
    bool acks_change = next.inbox_first != stored_.inbox_first ||
                       next.received() != stored_.received() ||
                       next.shown_first != stored_.shown_first || next.peer != stored_.peer;
    bool renewed = next.local != stored_.local;
    std::vector<submission> sends = std::move(in_commit_->sends);
    std::uint64_t first = stored_.outbox_next;
    stored_ = next;
    in_commit_.reset();
    for (std::size_t i = 0; i < sends.size(); ++i) {
      results_.push_back(send_result{sends[i].id, first + i, {}});
    }
    receiver_.handle_committed();
    sender_.handle_committed(first, setup_.epoch, sends);
    sender_.arm(now, random_);
    if (acks_change) ack_due_ = true;
    // A peer that seemed to have forgotten what was not stored yet deserves a second look.
    if (phase_ == phase::refused && acks_change && network_up_) greet(now);
    if (renewed && phase_ == phase::renewing_incarnation) {
      phase_ = phase::absent;
      if (network_up_) greet(now);
    }
  }

  /// Nothing of the change that `poll_change` gave is durable. Its sends end with the error.
  void handle_commit_failed(std::error_code reason, timestamp now) {
    assert(in_commit_ && reason);
    for (const submission& s : in_commit_->sends) results_.push_back(send_result{s.id, 0, reason});
    in_commit_.reset();
    receiver_.handle_commit_failed();
    if (handshake_.pending()) {
      // A hello waits for it, perhaps for long; the session after it brings it again.
      receiver_.forget_unstored();
      floors_.received = std::min(floors_.received, receiver_.accepted());
    }
    settle(now);
  }

  /// The messages that `poll_page` asked for, as many as there were. The first one asked for has
  /// to be in the store: without it the store is corrupt (event `store_failed` naming the message,
  /// once), and the page is asked for again after a while.
  void handle_page(const page_request& asked, std::span<const stored_message> page, timestamp now) {
    assert(pages_.outstanding(asked.purpose));
    switch (asked.purpose) {
      case page_purpose::outbox:
        sender_.handle_page(page);
        break;
      case page_purpose::inbox:
        receiver_.handle_page(page);
        break;
      case page_purpose::verification:
        handle_verification(page, now);
        break;
    }
    std::optional<page_request> again = next_page(asked.purpose);
    if (again && again->from == asked.from) {
      return handle_page_failed(asked, error::store_corrupt, now);
    }
    pages_.handle_page(asked);
  }
  /// What `poll_page` asked for cannot be read: event `store_failed`, once for each message and
  /// error. The page is asked for again after a while.
  void handle_page_failed(const page_request& asked, std::error_code reason, timestamp now) {
    assert(pages_.outstanding(asked.purpose) && reason);
    if (!pages_.handle_failure(asked, reason, now)) return;
    event_record e(event_kind::store_failed, reason);
    if (reason == error::store_corrupt) {
      bool inbox = asked.purpose == page_purpose::inbox;
      bool offset = inbox && asked.from >= stored_.stream_start;
      std::uint64_t sequence = asked.from + (offset ? stored_.stream_offset : 0);
      (inbox ? e.inbound : e.outbound) = sequence_range{sequence, sequence};
    }
    report(e);
  }

  /// The application is done with the message that `poll_delivery` gave.
  void handle_consumed(timestamp /*now*/) {
    assert(delivery_.outstanding());
    delivery_.handle_done();
    receiver_.handle_taken();
  }
  /// The application did not take it: event `delivery_failed`, and it is offered again after a
  /// while.
  void handle_delivery_failed(std::error_code reason, timestamp now) {
    assert(delivery_.outstanding());
    event_record e(event_kind::delivery_failed, reason);
    std::uint64_t sequence = receiver_.next_delivery()->sequence;
    e.inbound = sequence_range{sequence, sequence};
    report(e);
    delivery_.handle_failed(now);
  }

  /// Time has passed `deadline()`. Called early, it does nothing.
  void handle_timeout(timestamp now) {
    pages_.handle_timeout(now);
    delivery_.handle_timeout(now);
    if (settle_at_ <= now) settle_at_ = overdue;
    if (!session_open()) return;
    if (sender_.deadline() <= now) sender_.handle_timeout(now, random_);
    if (options_.keepalive_interval == duration::zero()) return;
    if (now >= after(heard_at_, options_.keepalive_timeout)) {
      end_session();
      greet(now);
    } else if (now >= keepalive_at()) {
      pinged_at_ = now;
      ping_due_ = true;
    }
  }

  /// Ends the session for good: a bye is the last frame.
  void handle_close() {
    bye_due_ = handshake_.established();
    closing_ = true;
  }

  // Outputs.

  /// Writes the next frame to send; false if there is none. Enabled by a session that begins, a
  /// frame that arrived, a commit, a page, time, and the close.
  bool poll_frame(std::vector<std::byte>& out, timestamp now) {
    if (closing_) return poll_bye(out);
    if (!parting_.empty()) {
      out = std::exchange(parting_, {});
      return true;
    }
    hello_record h;
    if (may_greet() && handshake_.poll_hello(h, now, random_)) {
      write_hello(out, h);
      return true;
    }
    if (!session_open()) return false;
    bool ping = std::exchange(ping_due_, false) || sender_.ping_due();
    bool ack = ack_due_ && stored_.peer == peer_;
    // A peer that was met is remembered before anything goes to it: should it lose its store and we
    // crash, we shall know that it may have had what we sent.
    bool data = stored_.peer == peer_ && sender_.has_data();
    if (!ping && !ack && !data) return poll_blocked(), false;
    frame_writer writer(out, header(handshake_.session_tag()), options_.checksum,
                        setup_.frame_limit);
    if (ack) {
      writer.ack(make_ack());
      ack_due_ = false;
    }
    if (ping) {
      writer.ping();
      sender_.pinged();
    }
    if (data) sender_.fill(writer, now, random_);
    poll_blocked();
    writer.finish();
    return true;
  }

  /// The next change to store, if there is any, even one that could wait; then nothing until
  /// `handle_committed` or `handle_commit_failed`. Enabled by whatever moves a cursor: sends, data
  /// and acks that arrived, messages consumed, a session that opened.
  std::optional<store_change> poll_change(timestamp /*now*/) {
    if (in_commit_) return std::nullopt;
    store_change change;
    change.next = current();
    change.inbox = receiver_.stage();
    change.outbox.reserve(submissions_.size());
    for (const submission& s : submissions_) {
      std::uint64_t sequence = change.next.outbox_next++;
      change.outbox.emplace_back(sequence, sequence, setup_.epoch, s.contents);
    }
    settle_at_ = never;
    if (change.next == stored_) return std::nullopt;
    in_commit_.emplace(commit{change.next, std::exchange(submissions_, {})});
    return change;
  }
  /// Whether there is a change that should not wait for another. A look: nothing changes.
  bool has_due_change(timestamp now) const noexcept {
    if (in_commit_) return false;
    return !submissions_.empty() || receiver_.has_unstaged() ||
           receiver_.has_untold_taken(stored_) || local_ != stored_.local ||
           peer_ != stored_.peer || settle_at_ <= now;
  }

  /// The end of a send that was in a change, in the order of the sends. Enabled by
  /// `handle_committed` and `handle_commit_failed`.
  std::optional<send_result> poll_send_result() {
    if (results_.empty()) return std::nullopt;
    send_result r = results_.front();
    results_.pop_front();
    return r;
  }

  /// The next page to read; then none for the same purpose until `handle_page` or
  /// `handle_page_failed`. Enabled by a session that opened, acks that made room, messages
  /// consumed, and time after a failure.
  std::optional<page_request> poll_page(timestamp now) {
    if (closing_) return std::nullopt;
    for (page_purpose p : {page_purpose::outbox, page_purpose::inbox, page_purpose::verification}) {
      if (!pages_.ready(p, now)) continue;
      std::optional<page_request> r = next_page(p);
      if (!r) continue;
      pages_.handle_request(p);
      return r;
    }
    return std::nullopt;
  }

  /// The next message for the application; then null until `handle_consumed` or
  /// `handle_delivery_failed`, and valid until then. Enabled by a commit that stored it, a page
  /// that holds it, the end of the delivery before it, and time after one that failed.
  const stored_message* poll_delivery(timestamp now) {
    if (!has_delivery(now)) return nullptr;
    delivery_.handle_given();
    return receiver_.next_delivery();
  }
  /// Whether `poll_delivery` would give one. A look: nothing changes.
  bool has_delivery(timestamp now) const noexcept {
    return delivery_.ready(now) && receiver_.next_delivery() != nullptr;
  }

  /// The next event, in the order in which they happened.
  std::optional<event_record> poll_event() {
    if (events_.empty()) return std::nullopt;
    event_record e = events_.front();
    events_.pop_front();
    return e;
  }

  /// When to call `handle_timeout` and drain the outputs again. A moment is named until
  /// `handle_timeout` has seen it: what it enabled may then wait, for a store that is busy say.
  timestamp deadline() const noexcept {
    if (closing_) return never;
    timestamp at =
        std::min({may_greet() ? handshake_.deadline() : never, pages_.deadline(),
                  delivery_.deadline(), !in_commit_ && settle_at_ != overdue ? settle_at_ : never});
    if (!session_open()) return at;
    at = std::min(at, sender_.deadline());
    if (options_.keepalive_interval != duration::zero()) at = std::min(at, keepalive_at());
    return at;
  }

  // State.

  phase state() const noexcept { return phase_; }
  /// Whether a proven session is open.
  bool session_open() const noexcept {
    return phase_ == phase::established || phase_ == phase::verifying;
  }
  const cursors& stored() const noexcept { return stored_; }
  std::uint64_t delivered_by_peer() const noexcept { return sender_.delivered(); }
  /// Stored or about to be, and not confirmed as delivered.
  std::uint64_t outbox_depth() const noexcept {
    std::uint64_t next = in_commit_ ? in_commit_->next.outbox_next : stored_.outbox_next;
    return next - 1 - sender_.delivered() + submissions_.size();
  }
  std::uint64_t inbox_depth() const noexcept { return receiver_.unread(); }
  std::uint64_t in_flight() const noexcept { return sender_.in_flight(); }
  /// Bytes that are in memory and were not sent in this session.
  std::size_t unsent_bytes() const noexcept { return sender_.unsent_bytes(); }
  std::uint64_t resent() const noexcept { return sender_.resent(); }
  std::uint64_t duplicates() const noexcept { return receiver_.duplicates(); }
  std::uint64_t stale_frames() const noexcept { return stale_frames_; }
  std::uint64_t rejected_frames() const noexcept { return rejected_frames_; }
  duration rtt() const noexcept { return sender_.rtt(); }

 private:
  /// The change that is with the store.
  struct commit {
    cursors next;
    std::vector<submission> sends;
  };

  static constexpr timestamp overdue = timestamp::min();

  std::optional<page_request> next_page(page_purpose p) const noexcept {
    if (p == page_purpose::inbox) return receiver_.next_page();
    if (p == page_purpose::outbox) return sender_.next_page();
    if (phase_ != phase::verifying) return std::nullopt;
    page_request r;
    r.purpose = page_purpose::verification;
    r.from = greeted_.received;
    r.messages = r.bytes = 1;
    return r;
  }

  void handle_verification(std::span<const stored_message> page, timestamp now) {
    if (phase_ != phase::verifying) return;
    if (page.empty() || page.front().sequence != greeted_.received) return;
    if (page.front().epoch != greeted_.received_epoch) return roll_back(now);
    verified(now);
  }

  void greet(timestamp now) {
    network_up_ = true;
    phase_ = phase::handshaking;
    handshake_.begin(now, random_);
    take_floors();
  }

  /// The peer holds what a hello says was received against what it sent. What is stored only after
  /// that would never be held against anything: should the peer's store have gone back meanwhile,
  /// another message of the same number would be taken for a repetition.
  bool may_greet() const noexcept {
    bool stored = stored_.peer == peer_ && stored_.received() == receiver_.accepted();
    return !handshake_.pending() || (stored && receiver_.settled());
  }

  void take_floors() noexcept {
    floors_.acknowledged = acknowledged_;
    floors_.received = receiver_.accepted();
    floors_.delivered = sender_.delivered();
  }

  void disconnect() {
    if (std::exchange(connected_, false)) report(event_record(event_kind::peer_disconnected));
  }

  void end_session() {
    disconnect();
    handshake_.end();
    sender_.handle_session_end();
    receiver_.handle_session();
    ack_due_ = ping_due_ = false;
    parting_.clear();
    if (phase_ != phase::renewing_incarnation) phase_ = phase::absent;
  }

  void handle_hello_frame(timestamp now) {
    const hello_record& h = *scratch_.hello;
    auto same = [](std::span<const std::byte> a, const bytes& b) {
      return std::equal(a.begin(), a.end(), b.view().begin(), b.view().end());
    };
    if (!same(h.destination, setup_.local_id)) return reject(error::wrong_destination);
    if (!same(h.source, setup_.peer_id)) return reject(error::mismatched_source);
    if (scratch_.header.source_tag != tag_of(h.local) || scratch_.header.session_tag != 0 ||
        !scratch_.data.empty() || scratch_.ack) {
      return reject(error::malformed_frame);
    }
    if (h.credit_sequence > h.received + (std::uint64_t{1} << 30) ||
        h.credit_bytes > h.received_bytes + (std::uint64_t{1} << 46)) {
      return reject(error::credit_out_of_range);
    }
    if (phase_ == phase::renewing_incarnation) return;
    if (phase_ == phase::absent) greet(now);
    bool was_pending = handshake_.pending();
    handshake::result result = handshake_.handle_hello(h, now, random_);
    if (!was_pending && result == handshake::result::challenged) take_floors();
    if (result == handshake::result::proven) handle_fresh(h, now);
  }

  /// A proven hello: decides how the two streams go on.
  void handle_fresh(const hello_record& h, timestamp now) {
    heard_at_ = now;
    greeted_ = h;
    greeted_.source = greeted_.destination = {};
    verdict_ = judge(as_shown(current()), floors_, h);
    if (verdict_.we_rolled_back) return roll_back(now);
    if (verdict_.peer_rolled_back) return refuse();
    open_session();
    std::uint64_t last = verdict_.knows_us ? h.received : 0;
    if (last == 0 || last < sender_.delivered()) return verified(now);
    std::optional<std::uint64_t> epoch = sender_.epoch_of(last);
    if (!epoch) return;
    if (*epoch != h.received_epoch) return roll_back(now);
    verified(now);
  }

  /// What this side holds: the stored cursors, and what the store does not know yet.
  cursors current() const noexcept {
    cursors c = stored_;
    c.local = local_;
    c.peer = peer_;
    c.former_peer = former_peer_;
    c.former_received = former_received_;
    c.outbox_first = sender_.delivered() + 1;
    c.erased_epoch = sender_.delivered_epoch();
    c.acknowledged = acknowledged_;
    receiver_.write(c);
    c.introduced = introduced_ ? 1 : 0;
    bool show = met_ && c.inbox_first >= shown_first_;
    c.shown_first = show ? c.inbox_first : shown_first_;
    c.shown_epoch = show ? c.delivered_epoch : shown_epoch_;
    return c;
  }

  /// Until there is a session, what the application takes is from an inbox of which nobody knows
  /// whether it is an old copy: in that it may have been taken before. So `delivered` stands where
  /// it was in the last session, or where a peer may know it since.
  static cursors as_shown(cursors c) noexcept {
    c.inbox_first = c.shown_first;
    c.delivered_epoch = c.shown_epoch;
    return c;
  }

  /// Receives from now on, and sends once `verified`.
  void open_session() {
    const hello_record& h = greeted_;
    met_ = true;
    if (verdict_.peer_reset || verdict_.we_were_lost) tell_reset();
    adopt();
    if (verdict_.knows_us) introduced_ = true;
    receiver_.handle_session();
    session_terms terms;
    terms.send_from = verdict_.send_from;
    terms.received_bytes = h.received_bytes;
    // Relative to where it stands: a peer that does not know us yet counts from where we begin.
    terms.credit_sequence = terms.send_from - 1;
    if (h.credit_sequence > h.received) terms.credit_sequence += h.credit_sequence - h.received;
    terms.credit_bytes = h.credit_bytes;
    terms.maximum_message = static_cast<std::size_t>(
        std::min<std::uint64_t>(h.maximum_message_size, setup_.frame_limit));
    sender_.handle_session(terms);
    phase_ = phase::verifying;
    ack_due_ = true;
  }

  /// Both sides mean the same messages by the same numbers: the hello counts as an ack.
  void verified(timestamp now) {
    const hello_record& h = greeted_;
    phase_ = phase::established;
    found_ = as_shown(current());
    sender_.handle_verified();
    if (verdict_.knows_us) {
      sender_.handle_delivered(h.delivered, h.delivered_epoch);
      acknowledged_ = std::max(acknowledged_, h.received);
    }
    settle(now);
    // What could not be believed before the check is asked for again.
    ping_due_ = std::exchange(ack_missed_, false);
    pinged_at_ = now;
    sender_.arm(now, random_);
    if (!std::exchange(connected_, true)) report(event_record(event_kind::peer_connected));
  }

  /// Takes the peer's incarnation, and starts its stream where it says if ours ended elsewhere.
  void adopt() {
    const hello_record& h = greeted_;
    bool gap = verdict_.known && verdict_.take_from > receiver_.accepted() + 1;
    if (verdict_.known && verdict_.knows_us) {
      // It stored us, so it was told before.
      former_peer_ = {};
      former_received_ = 0;
    }
    if (verdict_.known && !gap) return;
    if (gap) {
      event_record n(event_kind::gap);
      n.inbound = sequence_range{receiver_.accepted() + 1, verdict_.take_from - 1};
      report(n);
    }
    if (verdict_.peer_reset) {
      former_peer_ = peer_;
      former_received_ = receiver_.accepted();
    }
    receiver_.adopt(verdict_.take_from, h.first_epoch, !peer_);
    if (!verdict_.known) {
      acknowledged_ = 0;
      introduced_ = false;
    }
    peer_ = h.local;
  }

  void tell_reset() {
    const hello_record& h = greeted_;
    bool reset = verdict_.peer_reset;
    event_record n(reset ? event_kind::peer_reset : event_kind::store_lost);
    if (reset) {
      n.outbound = sequence_range{sender_.delivered() + 1, sender_.highest_sent()};
      n.inbound = sequence_range{receiver_.accepted() + 1, maximum_sequence};
    } else {
      std::uint64_t received = verdict_.knows_us ? h.former_received : h.received;
      n.outbound = sequence_range{received + 1, maximum_sequence};
      n.inbound = sequence_range{1, h.first - 1};
    }
    report(n);
  }

  /// This side's store is older than what the peer knows of it.
  void roll_back(timestamp now) {
    const hello_record& h = greeted_;
    std::vector<std::byte> parting;
    hello_record last;
    if (handshake_.poll_hello(last, now, random_)) write_hello(parting, last);
    event_record n(event_kind::rolled_back);
    std::uint64_t received = verdict_.known ? receiver_.accepted() : 0;
    // What was taken since the store was found may be a repetition already.
    std::uint64_t delivered = verdict_.known ? found_.delivered() : 0;
    bool repeats = h.first - 1 > delivered;
    n.outbound = sequence_range{sender_.delivered() + 1, h.received};
    n.inbound =
        sequence_range{(repeats ? delivered : received) + 1, std::max(h.acknowledged, h.first - 1)};
    report(n);
    end_session();
    parting_ = std::move(parting);
    phase_ = phase::renewing_incarnation;
    local_ = random_.create_incarnation();
    introduced_ = false;
    acknowledged_ = 0;
    // The store was held against what the peer knows: what is taken from now on was told of.
    met_ = true;
    // Or the next meeting would find the new incarnation rolled back as well.
    bool confirmed = h.first - 1 > as_shown(current()).delivered();
    if (verdict_.known && confirmed && h.first - 1 <= receiver_.accepted()) {
      shown_first_ = receiver_.index_of(h.first);
      shown_epoch_ = h.first_epoch;
    }
    if (verdict_.known) found_ = as_shown(current());
  }

  void refuse() {
    const hello_record& h = greeted_;
    event_record n(event_kind::peer_rolled_back);
    n.outbound = sequence_range{(verdict_.knows_us ? h.received : 0) + 1, floors_.acknowledged};
    n.inbound = sequence_range{h.next, floors_.received};
    report(n);
    disconnect();
    sender_.handle_session_end();
    phase_ = phase::refused;
  }

  void handle_records(timestamp now) {
    const frame& f = scratch_;
    // Neither goes out before this side's incarnation is stored.
    if (f.ack || !f.data.empty()) introduced_ = true;
    if (f.ack && phase_ != phase::established) ack_missed_ = true;
    if (f.ack && phase_ == phase::established && !handshake_.pending()) {
      if (std::error_code e = sender_.handle_ack(*f.ack, now, random_)) return reject(e);
      acknowledged_ = std::max(acknowledged_, f.ack->received);
      settle(now);
    }
    if (f.ping) ack_due_ = true;
    // What the hello under way says was received must stay true until it is answered: a message of
    // a history that the peer has lost would slip in between. The next session brings it again.
    if (handshake_.pending()) return;
    std::error_code refused;
    for (const data_record& d : f.data) {
      std::uint64_t before = receiver_.accepted();
      std::uint64_t repeated = receiver_.duplicates();
      if (std::error_code e = receiver_.handle_data(d)) refused = e;
      // In order, the ack follows the commit; a gap or a repetition is answered at once.
      if (receiver_.accepted() == before || receiver_.has_gap() ||
          receiver_.duplicates() != repeated) {
        ack_due_ = true;
      }
    }
    if (refused) reject(refused);
  }

  /// The store learns of cursors that moved with the next batch, or by itself soon.
  void settle(timestamp now) {
    if (settle_at_ == never && current() != stored_) settle_at_ = after(now, options_.settle_delay);
  }

  ack_record make_ack() const {
    ack_record a;
    a.received = stored_.received();
    a.delivered = as_shown(stored_).delivered();
    a.delivered_epoch = stored_.shown_epoch;
    a.received_bytes = receiver_.received_bytes();
    a.credit_sequence = receiver_.credit_sequence();
    a.credit_bytes = receiver_.credit_bytes();
    if (!setup_.reliable) a.ranges = receiver_.held();
    return a;
  }

  frame_header header(std::uint32_t session_tag) const noexcept {
    frame_header h;
    h.source_tag = tag_of(local_);
    h.destination_tag = tag_of(peer_);
    h.session_tag = session_tag;
    return h;
  }

  void write_hello(std::vector<std::byte>& out, hello_record& h) const {
    h.local = local_;
    h.peer = stored_.peer;
    h.former_peer = stored_.former_peer;
    h.former_received = stored_.former_received;
    h.first = sender_.delivered() + 1;
    h.next = stored_.outbox_next;
    h.first_epoch = sender_.delivered_epoch();
    h.acknowledged = acknowledged_;
    h.received = stored_.received();
    h.delivered = as_shown(stored_).delivered();
    h.received_epoch = stored_.received_epoch;
    h.delivered_epoch = stored_.shown_epoch;
    h.received_bytes = receiver_.received_bytes();
    h.credit_sequence = stored_.received() + options_.credit_messages -
                        std::min<std::uint64_t>(receiver_.unread(), options_.credit_messages);
    h.credit_bytes = receiver_.hello_credit_bytes();
    h.maximum_message_size = options_.maximum_message_size;
    h.source = setup_.local_id.view();
    h.destination = setup_.peer_id.view();
    frame_writer writer(out, header(0), options_.checksum, setup_.frame_limit);
    writer.hello(h);
    writer.finish();
  }

  bool poll_bye(std::vector<std::byte>& out) {
    if (!std::exchange(bye_due_, false)) return false;
    frame_writer writer(out, header(handshake_.session_tag()), options_.checksum,
                        setup_.frame_limit);
    if (stored_.peer == peer_) writer.ack(make_ack());
    writer.bye();
    writer.finish();
    return true;
  }

  void poll_blocked() {
    if (std::optional<std::uint64_t> sequence = sender_.poll_blocked()) {
      event_record n(event_kind::stream_blocked, error::message_too_large);
      n.outbound = sequence_range{*sequence, *sequence};
      report(n);
    }
  }

  timestamp keepalive_at() const noexcept {
    return after(std::max(heard_at_, pinged_at_), options_.keepalive_interval);
  }

  void reject(std::error_code e) {
    ++rejected_frames_;
    report(event_record(event_kind::frame_rejected, e));
  }

  void report(const event_record& e) { events_.push_back(e); }

  const options& options_;
  association_setup setup_;
  random_source random_;

  cursors stored_;  ///< what the store holds
  std::optional<commit> in_commit_;
  incarnation local_;
  incarnation peer_;
  incarnation former_peer_;
  std::uint64_t former_received_;
  std::uint64_t acknowledged_;
  std::uint64_t shown_first_;  ///< what was shown before this life, or by a history that is lost
  std::uint64_t shown_epoch_;
  bool introduced_;  ///< the peer has stored `local_`
  cursors found_;    ///< where the last good session began, or the one before this life stood
  floors floors_;

  phase phase_ = phase::absent;
  handshake handshake_;
  hello_record greeted_;  ///< the last proven hello
  verdict verdict_;
  sender sender_;
  receiver receiver_;
  page_schedule pages_;
  retry delivery_;
  std::vector<submission> submissions_;  ///< in the next change
  std::deque<send_result> results_;
  std::deque<event_record> events_;
  /// The answer that is due to a hello which showed that this side was rolled back: from it the
  /// peer learns what was, before it meets the new incarnation.
  std::vector<std::byte> parting_;
  frame scratch_;

  timestamp settle_at_ = never;
  timestamp heard_at_{};
  timestamp pinged_at_{};
  std::uint64_t stale_frames_ = 0;
  std::uint64_t rejected_frames_ = 0;
  bool network_up_ = false;
  bool away_ = false;  ///< the network said so, which a late frame does not change
  bool connected_ = false;
  bool ack_due_ = false;
  bool ack_missed_ = false;
  bool ping_due_ = false;
  bool bye_due_ = false;
  bool closing_ = false;
  bool met_ = false;  ///< a hello was held against the store in this life
};

}  // namespace ilm::protocol
