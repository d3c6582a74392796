#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/association_setup.hpp>
#include <ilm/protocol/durable_state.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/frame_builder.hpp>
#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/handshake.hpp>
#include <ilm/protocol/memory_use.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/page_schedule.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/reconcile.hpp>
#include <ilm/protocol/renewal_limit.hpp>
#include <ilm/protocol/retry.hpp>
#include <ilm/protocol/sender.hpp>
#include <ilm/protocol/session.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/submissions.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::protocol {

/// The protocol with one peer, sans I/O: hand it an input (`handle_*`), then drain its outputs
/// (`poll_*`), in any order, until each gives nothing, and call `handle_timeout` by `deadline()`.
///
/// A `poll_*` consumes: it gives each thing once. Three of them give work: a change to store, a
/// page to read, a message to deliver. Each gives nothing more of its kind before the matching
/// `handle_*` has said how that ended. The core reads no clock, draws no random numbers but from
/// its setup, and never waits.
class association {
 public:
  association(const options& o, association_setup setup, const cursors& stored)
      : options_(o),
        setup_(std::move(setup)),
        random_(setup_.seed),
        durable_(stored),
        session_(o, *setup_.entropy, setup_.support),
        sender_(o, setup_.reliable, setup_.frame_limit),
        receiver_(o),
        pages_(o),
        delivery_(o.minimum_redelivery_delay, o.maximum_redelivery_delay) {
    sender_.restore(stored.outbox);
    receiver_.restore(stored.inbox);
    assert(invariants_hold());
  }
  association(const association&) = delete;
  association& operator=(const association&) = delete;

  // Inputs.

  /// Accepts a message for the next change, or refuses it at once. It gets its sequence with that
  /// change: one that fails uses none. `poll_send_result` gives its end. A send that belongs to the
  /// consumption of a message, of any peer, stays with it where changes fail: both have to be
  /// handed to their cores between two calls of `poll_change`, and stored together.
  std::error_code handle_send(send_id id, payload message, on_failure then = on_failure::ends) {
    if (std::error_code refused = refusal(message)) return refused;
    submissions_.handle_send(id, std::move(message), then);
    assert(invariants_hold());
    return {};
  }
  /// Why `handle_send` would refuse a message after `earlier` others; none if it would not.
  std::error_code refusal(const payload& message, std::uint64_t earlier = 0) const noexcept {
    if (message.size() > setup_.maximum_message || !fits_frame(message, setup_.frame_limit)) {
      return error::message_too_large;
    }
    bool full = options_.outbox_limit != 0 && outbox_depth() + earlier >= options_.outbox_limit;
    // The cursor behind the last message has to be a sequence itself.
    if (durable_.outbox_next() + submissions_.size() + earlier >= maximum_sequence) full = true;
    return full ? make_error_code(error::outbox_full) : std::error_code();
  }

  /// Ends a send with the reason, unless it is in a change that `poll_change` gave.
  void withdraw_send(send_id id, std::error_code reason) {
    submissions_.withdraw(id, reason);
    assert(invariants_hold());
  }

  /// The network has a session with the peer, or a new one.
  void handle_session_up(timestamp now) {
    end_session();
    session_.handle_up(now);
    assert(invariants_hold());
  }

  /// The network has none any more.
  void handle_session_down() {
    end_session();
    session_.handle_down();
    assert(invariants_hold());
  }

  /// `has_room`: whether there is memory for messages, until the store has them. If not, those in
  /// the frame are not taken: the peer sends them again, in another session if the network is
  /// reliable.
  void handle_frame(std::span<const std::byte> in, timestamp now, bool has_room = true) {
    frame f;
    if (in.size() > setup_.frame_limit) {
      reject(error::frame_too_large);
    } else if (std::error_code e = read_frame(in, setup_.support, f)) {
      if (e == error::unsupported_version) session_.handle_unspoken_version(now);
      reject(e);
    } else if (session_.listens()) {
      bool refused = !has_room && !f.data.empty();
      if (refused) f.data.clear();
      handle_read_frame(f, now);
      if (refused) handle_no_room(f.header, now);
    }
    assert(invariants_hold());
  }

  /// The change that `poll_change` gave is durable.
  void handle_committed(timestamp now) {
    assert(durable_.in_commit());
    durable_state::completed done = durable_.complete_commit();
    // No claim tells of it.
    bool frees_former = receiver_.credits_former_stream();
    receiver_.complete_commit();
    sender_.handle_committed(done.first_send, submissions_.complete_commit(done.first_send));
    submissions_.forget_committed();
    sender_.arm(now, random_);
    if ((done.claim_changed || frees_former) && session_.is_open()) session_.require_ack();
    handle_history_in_order(now);
    assert(invariants_hold());
  }
  /// Nothing of the change that `poll_change` gave is durable. Its sends end with the error; where
  /// there is none, it is for the next change.
  void handle_commit_failed(std::error_code reason, timestamp now) {
    assert(durable_.in_commit());
    durable_.fail_commit();
    submissions_.fail_commit(reason);
    receiver_.fail_commit();
    schedule_cursor_commit(now);
    assert(invariants_hold());
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
      handle_page_failed(asked, error::store_corrupt, now);
    } else {
      pages_.handle_page(asked);
    }
    assert(invariants_hold());
  }
  /// The page that `poll_page` asked for cannot be read: event `store_failed`, once for each
  /// message and error. It is asked for again after a while.
  void handle_page_failed(const page_request& asked, ilm::detail::failure why, timestamp now) {
    assert(pages_.outstanding(asked.purpose) && why);
    if (std::optional<event_record> e =
            pages_.handle_failure(asked, std::move(why), now, durable_.stored())) {
      report(std::move(*e));
    }
    assert(invariants_hold());
  }

  /// The application is done with the message that `poll_delivery` gave. `may_fail`: until a change
  /// that has it is stored, `handle_consumption_failed` may follow; it gives no credit before.
  void handle_consumed(timestamp /*now*/, bool may_fail = false) {
    assert(delivery_.outstanding() && !delivery_is_void());
    delivery_.handle_done();
    // A message of a stream that was given up held credit, and no claim tells that it is gone.
    if (receiver_.consumes_former_stream() && session_.is_open()) session_.require_ack();
    receiver_.handle_consumed(may_fail);
    assert(invariants_hold());
  }
  /// The application did not take it: event `delivery_failed`, and it is offered again after a
  /// while.
  void handle_delivery_failed(ilm::detail::failure why, timestamp now) {
    assert(delivery_.outstanding() && !delivery_is_void() && why);
    report_message(event_kind::delivery_failed, std::move(why));
    delivery_.handle_failed(now);
    assert(invariants_hold());
  }
  /// Likewise, but it says when.
  void handle_delivery_postponed(ilm::detail::failure why, duration wait, timestamp now) {
    assert(delivery_.outstanding() && !delivery_is_void() && why);
    report_message(event_kind::delivery_failed, std::move(why));
    timestamp until = after(now, std::max(wait, options_.minimum_redelivery_delay));
    delivery_.handle_postponed(std::min(until, never - duration(1)));
    assert(invariants_hold());
  }
  /// The application gives up the message that `poll_delivery` gave: event `message_skipped`. Then
  /// `handle_consumed`.
  void handle_skipped(std::string reason) {
    assert(delivery_.outstanding() && !delivery_is_void());
    report_message(event_kind::message_skipped, ilm::detail::failure({}, std::move(reason)));
  }

  /// The application gave it back, as it was asked to: it is offered again, or the one before it
  /// that is not consumed after all, when its wait is over.
  void handle_delivery_withdrawn(timestamp now) {
    assert(delivery_.outstanding());
    if (std::exchange(delivery_is_void_, false)) {
      wait_for_returned(now);
    } else {
      delivery_.handle_done();
    }
    assert(invariants_hold());
  }

  /// A message that the application was done with is not consumed after all, nor are those behind
  /// it: event `delivery_failed`, and it is offered again after a while. No change is under way,
  /// and none that was stored has the consumption. `at` is its place, as `next_place` gave it
  /// before it was consumed. The message that the application has just now is none to be consumed:
  /// the delivery is void, and to be withdrawn.
  void handle_consumption_failed(const inbox_place& at, ilm::detail::failure why, timestamp now) {
    assert(!durable_.in_commit() && why && at.index >= durable_.stored().inbox.first);
    event_record e(event_kind::delivery_failed, std::move(why));
    e.inbound = sequence_range{at.sequence, at.sequence};
    report(std::move(e));
    receiver_.return_to(at);
    if (std::exchange(returned_, at.index) != at.index) returned_wait_ = {};
    if (delivery_.outstanding()) {
      delivery_is_void_ = true;
    } else {
      delivery_.handle_given();
      wait_for_returned(now);
    }
    schedule_cursor_commit(now);
    assert(invariants_hold());
  }

  /// Ends the session, and the sends that are in no change. The peer is to be forgotten: no input
  /// but those that end a change, a page or a delivery shall follow, unless the store fails.
  void handle_forget(std::error_code reason) {
    handle_session_down();
    submissions_.fail_accepted(reason);
    assert(invariants_hold());
  }

  /// Memory is short: all goes that can be read or sent again (`memory().releasable`), but for the
  /// next message to send and the next one to deliver. Pages are asked for where they are needed.
  void handle_memory_short() {
    receiver_.release();
    sender_.release();
    assert(invariants_hold());
  }

  /// Time has passed `deadline()`. Called early, it does nothing.
  void handle_timeout(timestamp now) {
    pages_.handle_timeout(now);
    delivery_.handle_timeout(now);
    durable_.handle_timeout(now);
    if (session_.is_open() && sender_.deadline() <= now) sender_.handle_timeout(now, random_);
    if (!session_.handle_timeout(now)) restart_session(now);
    assert(invariants_hold());
  }

  /// Ends the session for good: a bye is the last frame.
  void handle_close() {
    assert(!session_.is_closed());
    session_.handle_close();
    assert(invariants_hold());
  }

  // Outputs.

  /// Writes the next frame to send; false if there is none. Enabled by a session that begins, a
  /// frame that arrived, the end of a commit, a page, a message consumed, time, and the close.
  bool poll_frame(std::vector<std::byte>& out, timestamp now) {
    if (session_.is_closed()) {
      if (!session_.poll_bye()) return false;
      return builder().bye(out, session_.key()), true;
    }
    if (session_.poll_versions()) return builder().versions(out), true;
    if (std::uint64_t nonce = session_.poll_challenge(now, random_)) {
      return builder().challenge(out, nonce), true;
    }
    hello_record h;
    if (may_send_hello() && session_.poll_hello(h, now, random_)) {
      return builder().hello(out, h), true;
    }
    // Before it has the hello, the peer would take whatever comes for stale.
    if (!session_.is_open() || (session_.awaits_peer() && !may_send_hello())) return false;
    // The peer may wait to hear that its last stamp is stored: it cannot confirm more before.
    if (sender_.ping_due()) session_.require_ack();
    bool ping = session_.poll_ping() || sender_.ping_due();
    // A peer that was met is remembered before anything goes to it: should it lose its store and
    // this side crash, it is known that messages may have reached it.
    bool ack = session_.ack_due() && durable_.peer_is_stored();
    bool data = durable_.peer_is_stored() && sender_.has_data();
    if (ping || ack || data) write_records(out, ping, ack, data, now);
    if (std::optional<event_record> e = sender_.poll_blocked()) report(*e);
    return ping || ack || data;
  }

  /// The next change to store, if there is any, even one that could wait; then nothing until
  /// `handle_committed` or `handle_commit_failed`. Enabled by whatever moves a cursor: sends,
  /// frames that arrived, a page that was compared, messages consumed. A failed commit and time
  /// make it due again.
  std::optional<store_change> poll_change(timestamp /*now*/) {
    if (durable_.in_commit()) return std::nullopt;
    store_change change;
    change.next = current();
    durable_.cancel_cursor_commit();
    outbox_cursors& outbox = change.next.outbox;
    if (!submissions_.empty()) {
      change.outbox =
          submissions_.begin_commit(outbox.next, outbox.last_hash, next_nonzero(*setup_.entropy));
      outbox.next += change.outbox.size();
      outbox.last_hash = change.outbox.back().hash;
    }
    if (stamp_due(change.next, durable_.accepted() || !change.outbox.empty())) {
      make_stamp(change.next, setup_.entropy->next());
    }
    if (change.outbox.empty() && change.next == durable_.stored()) return std::nullopt;
    change.inbox = receiver_.begin_commit();
    durable_.begin_commit(change.next);
    return change;
  }
  /// Whether there is a change that should not wait for another. A look: nothing changes.
  bool has_due_change(timestamp now) const noexcept {
    if (durable_.in_commit()) return false;
    return !submissions_.empty() || receiver_.has_uncommitted() ||
           receiver_.has_unreported_consumed(durable_.stored()) || durable_.identity_changed() ||
           has_news(now) || durable_.cursor_commit_due(now);
  }

  /// The end of a send that was in a change, in the order of the sends. Enabled by
  /// `handle_committed` and `handle_commit_failed`.
  std::optional<send_result> poll_send_result() { return submissions_.poll_result(); }

  /// The next page to read; then none for the same purpose until `handle_page` or
  /// `handle_page_failed`. Enabled by a session that opened, acks that made room, a `poll_frame`
  /// that sent messages, messages consumed, and time after a failure.
  std::optional<page_request> poll_page(timestamp now) {
    if (session_.is_closed()) return std::nullopt;
    for (page_purpose p : {page_purpose::outbox, page_purpose::inbox, page_purpose::verification}) {
      if (!pages_.ready(p, now)) continue;
      std::optional<page_request> r = next_page(p);
      if (r) return pages_.handle_request(p), r;
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

  /// The next event, in the order in which they happened. Enabled by any input and by `poll_frame`.
  std::optional<event_record> poll_event() {
    if (events_.empty()) return std::nullopt;
    event_record e = std::move(events_.front());
    events_.pop_front();
    return e;
  }

  /// When to call `handle_timeout` and drain the outputs again. A moment is named until
  /// `handle_timeout` has seen it: what it enabled may then wait, for a store that is busy say.
  timestamp deadline() const noexcept {
    if (session_.is_closed()) return never;
    bool handshake = may_send_hello() || !session_.is_open();
    return std::min({handshake ? session_.handshake_deadline() : never, pages_.deadline(),
                     delivery_.deadline(), durable_.deadline(), session_.deadline(),
                     session_.is_open() ? sender_.deadline() : never});
  }

  // State.

  /// Whether the message that the application has is none to be consumed: one before it comes
  /// again.
  bool delivery_is_void() const noexcept { return delivery_is_void_; }
  /// The place of the message that `poll_delivery` gave.
  inbox_place next_place() const noexcept {
    assert(delivery_.outstanding() && !delivery_is_void());
    const stored_message& m = *receiver_.next_delivery();
    return {m.index, m.sequence, receiver_.delivered_hash()};
  }
  /// The index of the first message that the application has not consumed, stored or not.
  std::uint64_t consumed_next() const noexcept { return receiver_.consumed_next(); }

  phase state() const noexcept { return session_.state(); }
  /// Whether a proven session is open.
  bool session_open() const noexcept { return session_.is_open(); }
  /// The features that both sides of the session understand, a bit each; none without a session.
  std::uint64_t features() const noexcept { return session_.features(); }
  const cursors& stored() const noexcept { return durable_.stored(); }
  /// Whether the peer said no valid hello in this life, and nothing is to be stored.
  bool is_stranger() const noexcept {
    return !heard_hello_ && submissions_.idle() && current() == durable_.stored();
  }
  /// Whether no change is with the store, no send waits for its end, and no message is with the
  /// application.
  bool at_rest() const noexcept {
    return !durable_.in_commit() && submissions_.idle() && !delivery_.outstanding();
  }
  /// From when on an association made of `stored()` would do what this one does, after the network
  /// said as much as to this one: no session, no work, and nothing remembered that is not stored,
  /// but for counts and round trips. `never` if that takes more than time.
  timestamp reproducible_at() const noexcept {
    bool stored = at_rest() && current() == durable_.stored() && !has_work(durable_.stored()) &&
                  !durable_.cursor_commit_scheduled();
    bool calm = lookup_ == 0 && !loss_shown_ && events_.empty() && pages_.at_rest() &&
                delivery_.at_rest() && deadline() == never;
    if (!stored || !calm) return never;
    return std::max(session_.forgotten_at(), renewals_.forgotten_at());
  }
  /// Whether the network said last that it has no session with the peer.
  bool is_down() const noexcept { return session_.is_down(); }
  std::uint64_t delivered_by_peer() const noexcept { return sender_.delivered(); }
  /// Stored or about to be, and not confirmed as delivered.
  std::uint64_t outbox_depth() const noexcept {
    return durable_.outbox_next() - 1 - sender_.delivered() + submissions_.size();
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
  memory_use memory() const noexcept {
    memory_use m = sender_.memory();
    return m += receiver_.memory();
  }

  bool invariants_hold() const noexcept {
    return durable_.invariants_hold() && session_.invariants_hold() && sender_.invariants_hold() &&
           receiver_.invariants_hold() && submissions_.invariants_hold() &&
           pages_.invariants_hold() && delivery_.invariants_hold() && parts_agree();
  }

 private:
  /// Whether the parts say the same where they overlap.
  bool parts_agree() const noexcept {
    bool committing =
        durable_.outbox_next() == durable_.stored().outbox.next + submissions_.in_commit() &&
        sender_.committed_next() == durable_.stored().outbox.next;
    bool streams = session_.is_closed() || session_.is_open() == sender_.session_open();
    bool renewing = session_.state() == phase::renewing_history;
    bool identity = session_.is_closed() || durable_.history_is_stored() != renewing ||
                    (renewing && lookup_ != 0);
    bool met = !session_.is_open() || durable_.met();
    bool lent = delivery_.outstanding() ? delivery_is_void_ || receiver_.next_delivery() != nullptr
                                        : !delivery_is_void_;
    return committing && streams && identity && met && lent;
  }

  /// The wait grows where the same message fails again and again.
  void wait_for_returned(timestamp now) {
    delivery_.handle_failed(now, returned_wait_);
    returned_wait_ = delivery_.wait();
  }

  cursors current() const noexcept { return durable_.current(sender_, receiver_); }
  frame_builder builder() const noexcept { return {options_, setup_, durable_, receiver_}; }

  /// A hello tells all that this side knows of the peer's history, so that is stored first. Should
  /// this side forget what it adopted, the peer would take an older claim for one of another life;
  /// should it store a stamp or a message of a lost life only later, for one that it does not know.
  bool may_send_hello() const noexcept {
    return durable_.seen_is_stored() && receiver_.is_stored() &&
           (!session_.is_open() || durable_.peer_is_stored());
  }

  /// Whether the peer waits for a stamp: to be told of messages consumed, or that this side stored
  /// its own, after which it can make another; or for a hello, which waits for that, too.
  bool has_news(timestamp now) const noexcept {
    bool consumed = durable_.may_tell() && receiver_.delivered() > durable_.told_delivered();
    bool awaited = sender_.delivered() + 1 < durable_.outbox_next() || session_.hello_due(now);
    return consumed || (!durable_.seen_is_stored() && awaited);
  }

  void end_session() {
    if (session_.end()) report(event_record(event_kind::peer_disconnected));
    sender_.handle_session_end();
    receiver_.handle_session();
    if (session_.state() != phase::renewing_history) lookup_ = 0;
  }

  void handle_history_in_order(timestamp now) {
    if (!durable_.history_is_stored() || lookup_ != 0) return;
    if (session_.handle_renewed()) session_.start_handshake(now);
  }
  void restart_session(timestamp now) {
    end_session();
    session_.start_handshake(now, true);
  }

  void handle_read_frame(const frame& f, timestamp now) {
    if (f.versions) handle_versions(*f.versions);
    if (f.challenge) session_.handle_challenge(*f.challenge, now);
    if (f.hello) return handle_hello(f, now);
    // Versions, or what a later version adds to the handshake.
    if (f.header.version == handshake_version) return;
    if (session_.owns(f.header)) {
      session_.handle_heard(now);
      if (session_.is_open()) handle_records(f, now);
      if (f.bye) end_session();
    } else {
      ++stale_frames_;
    }
  }

  /// The messages of a frame were not taken. Where nothing is lost within a session, it ends: a
  /// hello of this side, without which there is no other, waits until the store has the rest.
  void handle_no_room(const frame_header& h, timestamp now) {
    if (setup_.reliable && session_.is_open() && session_.owns(h)) restart_session(now);
  }

  void handle_hello(const frame& f, timestamp now) {
    if (std::error_code e = check_hello(f, setup_)) return reject(e);
    if (session_.contradicts(*f.hello)) return restart_session(now);
    bool fresh = session_.is_fresh(*f.hello, now);
    // One that is not admitted changes nothing, and the candidate stays: the peer says it again.
    if (fresh && is_disruptive(*f.hello) && !renewals_.admit(now)) return;
    if (session_.handle_hello(*f.hello, now)) handle_fresh_hello(*f.hello, now);
  }

  /// The peer does not speak the version of a frame of ours, and says which ones it does.
  void handle_versions(const version_range& theirs) {
    std::optional<event_record> e = version_conflict(setup_.support, theirs.lowest, theirs.highest);
    if (e && !session_.is_open() && session_.handle_claimed_conflict(*e)) report(*e);
  }

  /// Whether a fresh hello does anything but to open or resume a session. A peer that was shown its
  /// loss answers with another history: the two count as one.
  bool is_disruptive(hello_record theirs) const {
    if (std::optional<event_record> e = conflict(setup_.support, theirs.support)) {
      return !session_.is_known_conflict(*e);
    }
    cursors ours = current();
    forget_implausible(ours, theirs);
    reconciliation r = reconcile(ours, theirs, sender_.hash_at(theirs.claim.received));
    if (r.adopts() && loss_shown_) return false;
    return r.result != outcome::resume || leaves_gap(theirs, r);
  }

  /// Whether a lost history of this side had confirmed messages that are not here.
  bool leaves_gap(const hello_record& theirs, const reconciliation& r) const noexcept {
    return r.ground.follows_peers_stream && theirs.first > receiver_.accepted() + 1;
  }

  void handle_fresh_hello(hello_record theirs, timestamp now) {
    heard_hello_ = true;
    theirs.source = theirs.destination = {};
    if (std::optional<event_record> e = conflict(setup_.support, theirs.support)) {
      if (session_.handle_incompatible()) report(event_record(event_kind::peer_disconnected));
      sender_.handle_session_end();
      if (!session_.repeats_conflict(*e)) report(*e);
      return;
    }
    cursors ours = current();
    forget_implausible(ours, theirs);
    reconciliation r = reconcile(ours, theirs, sender_.hash_at(theirs.claim.received));
    if (r.breaks()) return handle_went_back(ours, theirs, r, now);
    if (r.result == outcome::claim_implausible) reject(error::cursor_out_of_range);
    if (!r.opens_session()) return show_loss(theirs, now);
    if (r.adopts() && r.lookup != 0) {
      // Both may have gone back. Which messages the peer has is to be known first.
      end_session();
      lookup_ = r.lookup;
      return session_.handle_renewing();
    }
    open_session(ours, theirs, r, now);
    if (r.lookup == 0) handle_verified(now);
  }

  /// The peer's store went back, or its claim is wrong: a hello shows it, and a handshake begins.
  void show_loss(const hello_record& theirs, timestamp now) {
    loss_shown_ = true;
    restart_session(now);
    session_.handle_challenge(theirs.nonce, now);
  }

  /// Receives from now on, and sends once the peer's last message is verified.
  void open_session(const cursors& ours, const hello_record& theirs, const reconciliation& r,
                    timestamp now) {
    if (r.adopts()) {
      if (std::optional<event_record> e = event_of_adoption(ours, theirs, r)) report(*e);
    }
    if (r.adopts() && r.restarts_stream) {
      receiver_.adopt(theirs.first, theirs.erased_hash);
    } else if (leaves_gap(theirs, r)) {
      event_record e(event_kind::gap);
      e.inbound = sequence_range{receiver_.accepted() + 1, theirs.first - 1};
      report(e);
      receiver_.adopt(theirs.first, theirs.erased_hash);
    }
    loss_shown_ = false;
    durable_.handle_session(theirs, r);
    receiver_.handle_session();
    bool continues = r.intact || r.lookup != 0;
    sender_.handle_session(terms_of(
        theirs, r.send_from, continues ? theirs.claim.received_hash : ours.outbox.erased_hash,
        setup_.frame_limit));
    session_.handle_reconciled(theirs, r, now);
    lookup_ = r.lookup;
  }

  /// The message that the peer received last, from the store. Another one there means that this
  /// store was put back, and gave the number again.
  void handle_verification(std::span<const stored_message> page, timestamp now) {
    if (page.empty() || page.front().sequence != lookup_) return;
    sender_.handle_found(std::exchange(lookup_, 0), page.front().hash);
    handle_history_in_order(now);
    if (session_.state() != phase::verifying) return;
    const session::verifying v = session_.verification();
    if (page.front().hash == v.hello.claim.received_hash) return handle_verified(now);
    if (!renewals_.admit(now)) return restart_session(now);
    cursors ours = current();
    handle_went_back(ours, v.hello, reconcile(ours, v.hello, page.front().hash), now);
  }

  /// Both sides mean the same messages by the same numbers: the hello counts as an ack.
  void handle_verified(timestamp now) {
    const session::verifying v = session_.verification();
    bool opened = session_.handle_verified(now);
    sender_.handle_verified();
    const claim& c = v.hello.claim;
    durable_.handle_claim(c, v.agreed.ground.follows_our_stream);
    if (v.agreed.ground.follows_our_stream && confirms_delivery(c)) {
      sender_.handle_delivered(c.delivered, c.delivered_hash);
    }
    schedule_cursor_commit(now);
    sender_.arm(now, random_);
    if (opened) report(event_record(event_kind::peer_connected));
  }

  /// Whether `delivered` of a claim goes with the peer's newest stamp, and is news.
  bool confirms_delivery(const claim& c) const noexcept {
    return c.mark == durable_.seen() && c.delivered > sender_.delivered();
  }

  /// This side's store is older than the history that the peer knows: a new one begins.
  void handle_went_back(const cursors& ours, const hello_record& theirs, const reconciliation& r,
                        timestamp now) {
    report(event_of_own_loss(ours, theirs, r));
    end_session();
    session_.handle_renewing();
    durable_.handle_loss(ours, theirs, r, setup_.entropy->next());
    schedule_cursor_commit(now);
  }

  void handle_records(const frame& f, timestamp now) {
    if (f.ack && session_.state() == phase::verifying) {
      session_.handle_ignored_ack();
    } else if (f.ack) {
      if (std::error_code e = sender_.check(*f.ack)) return refuse_ack(e, now);
      if (!agrees(f.ack->claim)) return restart_session(now);
      handle_ack(*f.ack, now);
    }
    if (f.ping) session_.require_ack();
    handle_data(f);
  }

  /// The peer says that it has what was never sent: to a life of this side that went on from the
  /// same state, it may be. As no ack would count before the numbers of frames caught up, a session
  /// with numbers of its own begins.
  void refuse_ack(std::error_code e, timestamp now) {
    reject(e);
    restart_session(now);
  }

  /// Whether a claim within the session speaks of the history that this side has. If not, or if
  /// that is not known at once, hellos tell.
  bool agrees(const claim& c) const {
    cursors ours = current();
    if (went_back(ours, c, common_ground())) return false;
    // The peer's history of before had confirmed more than it has now.
    if (c.mark == ours.history.seen && c.received < sender_.delivered()) return false;
    return sender_.confirms(c).value_or(false);
  }

  void handle_ack(const ack_record& a, timestamp now) {
    durable_.handle_claim(a.claim, true);
    sender_.handle_ack(a, confirms_delivery(a.claim), now, random_);
    schedule_cursor_commit(now);
  }

  void handle_data(const frame& f) {
    std::error_code refused;
    for (const data_record& d : f.data) {
      std::uint64_t before = receiver_.accepted();
      std::uint64_t repeated = receiver_.duplicates();
      if (std::error_code e = receiver_.handle_data(d)) refused = e;
      // In order, the ack follows the commit; a gap or a repetition is answered at once.
      if (receiver_.accepted() == before || receiver_.has_gap() ||
          receiver_.duplicates() != repeated) {
        session_.require_ack();
      }
    }
    if (refused) return reject(refused);
    if (!f.data.empty()) receiver_.handle_frame(f.header.number);
  }

  void write_records(std::vector<std::byte>& out, bool ping, bool ack, bool data, timestamp now) {
    std::uint64_t number = data ? sender_.begin_frame(now) : 0;
    frame_writer writer = builder().begin(out, session_.key(), number);
    if (ack) {
      writer.ack(builder().ack());
      session_.handle_ack_sent();
    }
    if (ping) {
      writer.ping();
      sender_.pinged();
    }
    if (data) sender_.fill(writer, now, random_);
    writer.finish();
  }

  std::optional<page_request> next_page(page_purpose p) const noexcept {
    if (p == page_purpose::inbox) return receiver_.next_page();
    if (p == page_purpose::outbox) return sender_.next_page();
    if (lookup_ == 0) return std::nullopt;
    return page_request{p, lookup_, 1, 1};
  }

  /// The store learns of cursors that moved with the next change, or by itself soon.
  void schedule_cursor_commit(timestamp now) {
    if (!durable_.cursor_commit_scheduled()) {
      durable_.schedule_cursor_commit(after(now, options_.cursor_commit_delay), current());
    }
  }

  void reject(std::error_code e) {
    ++rejected_frames_;
    report(event_record(event_kind::frame_rejected, e));
  }

  /// An event about the message with the application.
  void report_message(event_kind kind, ilm::detail::failure why) {
    event_record e(kind, std::move(why));
    std::uint64_t sequence = receiver_.next_delivery()->sequence;
    e.inbound = sequence_range{sequence, sequence};
    report(std::move(e));
  }
  void report(event_record e) { events_.push_back(std::move(e)); }

  const options& options_;
  association_setup setup_;
  random_source random_;
  durable_state durable_;
  session session_;
  sender sender_;
  receiver receiver_;
  submissions submissions_;
  page_schedule pages_;
  retry delivery_;
  renewal_limit renewals_;
  bool loss_shown_ = false;   ///< to the peer, which has not opened a session since
  std::uint64_t lookup_ = 0;  ///< the message whose hash is read from the store; 0: none
  std::deque<event_record> events_;
  bool heard_hello_ = false;  ///< a fresh one, in this life
  bool delivery_is_void_ = false;
  std::uint64_t returned_ = 0;  ///< the index of the last message that was not consumed after all
  duration returned_wait_{};    ///< its last wait
  std::uint64_t stale_frames_ = 0;
  std::uint64_t rejected_frames_ = 0;
};

}  // namespace ilm::inline v0::protocol
