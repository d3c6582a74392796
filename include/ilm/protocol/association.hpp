#pragma once

#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/association_setup.hpp>
#include <ilm/protocol/durable_state.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/frame_builder.hpp>
#include <ilm/protocol/frame_reader.hpp>
#include <ilm/protocol/handshake.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/page_schedule.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/reconcile.hpp>
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
/// its seed, and never waits.
class association {
 public:
  association(const options& o, association_setup setup, const cursors& stored)
      : options_(o),
        setup_(std::move(setup)),
        random_(setup_.seed),
        durable_(stored),
        session_(o, setup_.support),
        sender_(o, setup_.reliable, setup_.frame_limit),
        receiver_(o),
        pages_(o),
        delivery_(o.minimum_redelivery_delay, o.maximum_redelivery_delay) {
    sender_.restore(stored);
    receiver_.restore(stored);
    assert(invariants_hold());
  }
  association(const association&) = delete;
  association& operator=(const association&) = delete;

  // Inputs.

  /// Accepts a message for the next change, or refuses it at once. It gets its sequence with that
  /// change: one that fails uses none. `poll_send_result` gives its end.
  std::error_code handle_send(send_id id, payload message) {
    if (message.size() > setup_.maximum_message || !fits_frame(message, setup_.frame_limit)) {
      return error::message_too_large;
    }
    if (options_.outbox_limit != 0 && outbox_depth() >= options_.outbox_limit) {
      return error::outbox_full;
    }
    submissions_.handle_send(id, std::move(message));
    assert(invariants_hold());
    return {};
  }

  /// The network has a session with the peer, or a new one.
  void handle_session_up(timestamp now) {
    end_session();
    session_.handle_up(now, random_, at_present());
    assert(invariants_hold());
  }

  /// The network has none any more.
  void handle_session_down() {
    end_session();
    session_.handle_down();
    assert(invariants_hold());
  }

  void handle_frame(std::span<const std::byte> in, timestamp now) {
    if (in.size() > setup_.frame_limit) {
      reject(error::frame_too_large);
    } else if (std::error_code e = read_frame(in, setup_.support, scratch_)) {
      if (e == error::unsupported_version) session_.handle_unspoken_version(now);
      reject(e);
    } else if (session_.listens()) {
      handle_read_frame(now);
    }
    assert(invariants_hold());
  }

  /// The change that `poll_change` gave is durable.
  void handle_committed(timestamp now) {
    assert(durable_.in_commit());
    durable_state::completed done = durable_.complete_commit();
    receiver_.complete_commit();
    sender_.handle_committed(done.first_send, setup_.epoch,
                             submissions_.complete_commit(done.first_send));
    submissions_.forget_committed();
    sender_.arm(now, random_);
    bool again = done.acks_changed && session_.handle_acks_changed();
    if (done.incarnation_changed && session_.handle_renewed()) again = true;
    if (again) session_.start_handshake(now, random_, at_present());
    assert(invariants_hold());
  }
  /// Nothing of the change that `poll_change` gave is durable. Its sends end with the error.
  void handle_commit_failed(std::error_code reason, timestamp now) {
    assert(durable_.in_commit() && reason);
    durable_.fail_commit();
    submissions_.fail_commit(reason);
    receiver_.fail_commit();
    if (session_.proof_pending()) {
      // A hello waits for it, perhaps for long; the session after it brings it again.
      receiver_.forget_unstored();
      session_.lower_received(receiver_.accepted());
    }
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
  void handle_page_failed(const page_request& asked, std::error_code reason, timestamp now) {
    assert(pages_.outstanding(asked.purpose) && reason);
    if (std::optional<event_record> e =
            pages_.handle_failure(asked, reason, now, durable_.stored())) {
      report(*e);
    }
    assert(invariants_hold());
  }

  /// The application is done with the message that `poll_delivery` gave.
  void handle_consumed(timestamp /*now*/) {
    assert(delivery_.outstanding());
    delivery_.handle_done();
    receiver_.handle_consumed();
    assert(invariants_hold());
  }
  /// The application did not take it: event `delivery_failed`, and it is offered again after a
  /// while.
  void handle_delivery_failed(std::error_code reason, timestamp now) {
    assert(delivery_.outstanding() && reason);
    event_record e(event_kind::delivery_failed, reason);
    std::uint64_t sequence = receiver_.next_delivery()->sequence;
    e.inbound = sequence_range{sequence, sequence};
    report(e);
    delivery_.handle_failed(now);
    assert(invariants_hold());
  }

  /// Time has passed `deadline()`. Called early, it does nothing.
  void handle_timeout(timestamp now) {
    pages_.handle_timeout(now);
    delivery_.handle_timeout(now);
    durable_.handle_timeout(now);
    if (session_.is_open() && sender_.deadline() <= now) sender_.handle_timeout(now, random_);
    if (!session_.handle_timeout(now)) {
      end_session();
      session_.start_handshake(now, random_, at_present());
    }
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
  /// frame that arrived, the end of a commit, a page, time, and the close.
  bool poll_frame(std::vector<std::byte>& out, timestamp now) {
    if (session_.is_closed()) {
      if (!session_.poll_bye()) return false;
      return builder().bye(out, session_.key()), true;
    }
    if (session_.poll_final_hello(out)) return true;
    if (session_.poll_versions()) return builder().versions(out), true;
    hello_record h;
    if (may_send_hello() && session_.poll_hello(h, now, random_)) {
      return builder().hello(out, h), true;
    }
    if (!session_.is_open()) return false;
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
    change.next.outbox_next += submissions_.size();
    if (change.next == durable_.stored()) return std::nullopt;
    change.inbox = receiver_.begin_commit();
    change.outbox = submissions_.begin_commit(durable_.stored().outbox_next, setup_.epoch);
    durable_.begin_commit(change.next);
    return change;
  }
  /// Whether there is a change that should not wait for another. A look: nothing changes.
  bool has_due_change(timestamp now) const noexcept {
    if (durable_.in_commit()) return false;
    return !submissions_.empty() || receiver_.has_uncommitted() ||
           receiver_.has_unreported_consumed(durable_.stored()) || durable_.identity_changed() ||
           durable_.cursor_commit_due(now);
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
    event_record e = events_.front();
    events_.pop_front();
    return e;
  }

  /// When to call `handle_timeout` and drain the outputs again. A moment is named until
  /// `handle_timeout` has seen it: what it enabled may then wait, for a store that is busy say.
  timestamp deadline() const noexcept {
    if (session_.is_closed()) return never;
    return std::min({may_send_hello() ? session_.hello_deadline() : never, pages_.deadline(),
                     delivery_.deadline(), durable_.deadline(), session_.deadline(),
                     session_.is_open() ? sender_.deadline() : never});
  }

  // State.

  phase state() const noexcept { return session_.state(); }
  /// Whether a proven session is open.
  bool session_open() const noexcept { return session_.is_open(); }
  /// The features that both sides of the session understand, a bit each; none without a session.
  std::uint64_t features() const noexcept { return session_.features(); }
  const cursors& stored() const noexcept { return durable_.stored(); }
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

  bool invariants_hold() const noexcept {
    return durable_.invariants_hold() && session_.invariants_hold() && sender_.invariants_hold() &&
           receiver_.invariants_hold() && submissions_.invariants_hold() &&
           pages_.invariants_hold() && delivery_.invariants_hold() && parts_agree();
  }

 private:
  /// Whether the parts say the same where they overlap.
  bool parts_agree() const noexcept {
    bool committing =
        durable_.outbox_next() == durable_.stored().outbox_next + submissions_.in_commit() &&
        sender_.committed_next() == durable_.stored().outbox_next;
    bool streams = session_.is_closed() || session_.is_open() == sender_.session_open();
    bool identity = session_.state() == phase::renewing_incarnation || session_.is_closed() ||
                    durable_.local() == durable_.stored().local;
    bool met = !session_.is_open() || bool(durable_.peer());
    bool lent = !delivery_.outstanding() || receiver_.next_delivery() != nullptr;
    return committing && streams && identity && met && lent;
  }

  cursors current() const noexcept { return durable_.current(sender_, receiver_); }
  watermarks at_present() const noexcept {
    return {durable_.acknowledged(), receiver_.accepted(), sender_.delivered()};
  }
  local_view view() const noexcept {
    return {advertised(current()), session_.at_nonce(), sender_.highest_sent(),
            durable_.baseline_delivered()};
  }
  frame_builder builder() const noexcept {
    return {options_, setup_, durable_, sender_, receiver_};
  }

  /// A hello advertises `received`. Data that is stored only afterwards would never be held against
  /// the peer: should its store go back meanwhile, another message of the same number
  /// would be taken for a repetition.
  bool may_send_hello() const noexcept {
    if (!session_.proof_pending()) return true;
    return durable_.peer_is_stored() && durable_.stored().received() == receiver_.accepted() &&
           receiver_.is_stored();
  }

  void end_session() {
    if (session_.end()) report(event_record(event_kind::peer_disconnected));
    sender_.handle_session_end();
    receiver_.handle_session();
  }

  void handle_read_frame(timestamp now) {
    if (scratch_.versions) handle_versions(*scratch_.versions);
    if (scratch_.hello) return handle_hello(now);
    // Versions, or what a later version adds to the handshake.
    if (scratch_.header.version == handshake_version) return;
    if (session_.owns(scratch_.header, durable_.local(), durable_.peer())) {
      session_.handle_heard(now);
      if (session_.is_open()) handle_records(now);
      if (scratch_.bye) end_session();
    } else {
      ++stale_frames_;
    }
  }

  void handle_hello(timestamp now) {
    if (std::error_code e = check_hello(scratch_, setup_)) return reject(e);
    if (session_.handle_hello(*scratch_.hello, now, random_, at_present()) ==
        handshake::result::proven) {
      handle_proven(*scratch_.hello, now);
    }
  }

  /// The peer does not speak the version of a frame of ours, and says which ones it does.
  void handle_versions(const version_range& theirs) {
    std::optional<event_record> e = version_conflict(setup_.support, theirs.lowest, theirs.highest);
    if (e && !session_.is_open() && !session_.repeats_conflict(*e)) report(*e);
  }

  void handle_proven(hello_record theirs, timestamp now) {
    session_.handle_heard(now);
    theirs.source = theirs.destination = {};
    if (std::optional<event_record> e = conflict(setup_.support, theirs.support)) {
      refuse(session_.handle_incompatible());
      if (!session_.repeats_conflict(*e)) report(*e);
      return;
    }
    reconciliation r = reconcile(view(), theirs);
    if (r.event) report(*r.event);
    if (r.result == outcome::local_rolled_back) return roll_back(theirs, r, now);
    if (r.result == outcome::peer_rolled_back) {
      return refuse(session_.handle_peer_rolled_back());
    }
    open_session(theirs, r);
    if (r.verify == 0) return handle_verified(now);
    std::optional<std::uint64_t> epoch = sender_.epoch_of(r.verify);
    if (epoch) handle_epoch(*epoch, now);
  }

  /// Nothing flows with this peer; its session, if there was one, has ended.
  void refuse(bool had_session) {
    if (had_session) report(event_record(event_kind::peer_disconnected));
    sender_.handle_session_end();
  }

  /// Receives from now on, and sends once the peer's last message is verified.
  void open_session(const hello_record& theirs, const reconciliation& r) {
    // The hello that was echoed waited for it, so nothing of an old stream can still be forgotten.
    assert(receiver_.is_stored());
    bool first_contact = !durable_.peer();
    std::uint64_t accepted = receiver_.accepted();
    if (r.restarts_stream()) receiver_.adopt(r.take_from, theirs.first_epoch, first_contact);
    durable_.adopt(r, theirs, accepted);
    durable_.handle_session();
    receiver_.handle_session();
    sender_.handle_session(terms_of(theirs, r.send_from, setup_.frame_limit));
    session_.handle_reconciled(theirs, r);
  }

  void handle_verification(std::span<const stored_message> page, timestamp now) {
    if (session_.state() != phase::verifying || page.empty()) return;
    if (page.front().sequence == session_.verification().agreed.verify) {
      handle_epoch(page.front().epoch, now);
    }
  }

  /// The message that the peer received last has this epoch here. Another one there means that this
  /// store was put back, and gave the number again.
  void handle_epoch(std::uint64_t epoch, timestamp now) {
    const session::verifying v = session_.verification();
    if (epoch == v.hello.received_epoch) return handle_verified(now);
    report(rolled_back_event(view(), v.hello, v.agreed.peer_is_as_stored));
    roll_back(v.hello, v.agreed, now);
  }

  /// Both sides mean the same messages by the same numbers: the hello counts as an ack.
  void handle_verified(timestamp now) {
    const session::verifying v = session_.verification();
    bool opened = session_.handle_verified(now);
    durable_.set_baseline(current());
    sender_.handle_verified();
    if (v.agreed.peer_has_our_incarnation) {
      sender_.handle_delivered(v.hello.delivered, v.hello.delivered_epoch);
      durable_.handle_acknowledged(v.hello.received);
    }
    schedule_cursor_commit(now);
    sender_.arm(now, random_);
    if (opened) report(event_record(event_kind::peer_connected));
  }

  /// This side's store is older than the history that the peer has: it needs a new incarnation.
  void roll_back(const hello_record& theirs, const reconciliation& r, timestamp now) {
    std::vector<std::byte> final_hello;
    hello_record last;
    if (session_.poll_hello(last, now, random_)) builder().hello(final_hello, last);
    end_session();
    session_.handle_rolled_back(std::move(final_hello));
    durable_.renew_incarnation(random_.create_incarnation());
    if (!r.peer_is_as_stored) return;
    std::uint64_t confirmed = theirs.first - 1;
    if (confirmed > advertised(current()).delivered() && confirmed <= receiver_.accepted()) {
      durable_.advertise(receiver_.index_of(theirs.first), theirs.first_epoch);
    }
    durable_.set_baseline(current());
  }

  void handle_records(timestamp now) {
    const frame& f = scratch_;
    // The peer sends neither before it has stored this side's incarnation.
    if (f.ack || !f.data.empty()) durable_.handle_incarnation_confirmed();
    if (f.ack && session_.state() == phase::verifying) {
      session_.handle_ignored_ack();
    } else if (f.ack && !session_.proof_pending()) {
      if (std::error_code e = sender_.handle_ack(*f.ack, now, random_)) return reject(e);
      durable_.handle_acknowledged(f.ack->received);
      schedule_cursor_commit(now);
    }
    if (f.ping) session_.require_ack();
    if (!session_.proof_pending()) handle_data();
  }

  void handle_data() {
    const frame& f = scratch_;
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
    if (session_.state() != phase::verifying) return std::nullopt;
    return page_request{p, session_.verification().agreed.verify, 1, 1};
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

  void report(const event_record& e) { events_.push_back(e); }

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
  std::deque<event_record> events_;
  frame scratch_;
  std::uint64_t stale_frames_ = 0;
  std::uint64_t rejected_frames_ = 0;
};

}  // namespace ilm::inline v0::protocol
