#pragma once

#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/receiver.hpp>
#include <ilm/protocol/reconcile.hpp>
#include <ilm/protocol/sender.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <optional>

namespace ilm::inline v0::protocol {

/// The cursors with `delivered` as the peer may know it. Messages consumed before a session is open
/// do not advance it: the inbox may be a restored backup, and they repetitions.
inline cursors advertised(cursors c) noexcept {
  c.inbox_first = c.advertised_first;
  c.delivered_epoch = c.advertised_epoch;
  return c;
}

/// The cursors in the store, those of the change in commit, and those in memory that go with the
/// next change. At most one change is in commit.
class durable_state {
 public:
  /// The difference that a change made.
  struct completed {
    std::uint64_t first_send = 0;  ///< the sequence of its first message in the outbox
    bool acks_changed = false;     ///< the next ack says something new
    bool incarnation_changed = false;
  };

  explicit durable_state(const cursors& stored) noexcept
      : stored_(stored), memory_(stored), baseline_delivered_(advertised(stored).delivered()) {
    assert(invariants_hold());
  }

  const cursors& stored() const noexcept { return stored_; }
  bool in_commit() const noexcept { return in_commit_.has_value(); }
  const incarnation& local() const noexcept { return memory_.local; }
  const incarnation& peer() const noexcept { return memory_.peer; }
  bool peer_is_stored() const noexcept { return stored_.peer == memory_.peer; }
  std::uint64_t acknowledged() const noexcept { return memory_.acknowledged; }
  std::uint64_t baseline_delivered() const noexcept { return baseline_delivered_; }
  /// The sequence after the last message that is stored or in commit.
  std::uint64_t outbox_next() const noexcept {
    return in_commit_ ? in_commit_->outbox_next : stored_.outbox_next;
  }

  /// The cursors as they stand in memory; `outbox_next` is that of the store.
  cursors current(const sender& s, const receiver& r) const noexcept {
    cursors c = memory_;
    c.outbox_next = stored_.outbox_next;
    s.write(c);
    r.write(c);
    if (session_was_open_ && c.inbox_first >= c.advertised_first) {
      c.advertised_first = c.inbox_first;
      c.advertised_epoch = c.delivered_epoch;
    }
    return c;
  }

  // Inputs from the session.

  /// A session opened: the store was compared with the peer's, so consumption counts from now on.
  void handle_session() noexcept { session_was_open_ = true; }
  /// The last session began with these cursors.
  void set_baseline(const cursors& c) noexcept { baseline_delivered_ = advertised(c).delivered(); }

  void handle_acknowledged(std::uint64_t received) noexcept {
    assert(received < outbox_next());
    memory_.acknowledged = std::max(memory_.acknowledged, received);
  }
  /// The peer has stored this side's incarnation.
  void handle_incarnation_confirmed() noexcept { memory_.peer_confirmed_incarnation = 1; }

  /// Takes the peer's incarnation, as the reconciliation says. `accepted` is of its former stream.
  void adopt(const reconciliation& r, const hello_record& theirs, std::uint64_t accepted) noexcept {
    assert(r.opens_session() && theirs.local);
    if (r.peer_is_as_stored && r.peer_has_our_incarnation) {
      // The peer stored this side, so it was told of its loss before.
      memory_.former_peer = {};
      memory_.former_received = 0;
    }
    if (r.result == outcome::peer_reset) {
      memory_.former_peer = memory_.peer;
      memory_.former_received = accepted;
    }
    if (!r.peer_is_as_stored) {
      memory_.acknowledged = 0;
      memory_.peer_confirmed_incarnation = 0;
    }
    memory_.peer = theirs.local;
    if (r.peer_has_our_incarnation) handle_incarnation_confirmed();
  }

  /// Begins a new durable history for this pair.
  void renew_incarnation(const incarnation& created) noexcept {
    assert(created && created != memory_.local);
    memory_.local = created;
    memory_.peer_confirmed_incarnation = 0;
    memory_.acknowledged = 0;
    session_was_open_ = true;
  }
  /// A lost history had confirmed all below this index: it counts as delivered. Otherwise the new
  /// incarnation would look rolled back as well.
  void advertise(std::uint64_t first_index, std::uint64_t epoch) noexcept {
    assert(first_index > memory_.advertised_first);
    memory_.advertised_first = first_index;
    memory_.advertised_epoch = epoch;
  }

  // The store.

  bool identity_changed() const noexcept {
    return memory_.local != stored_.local || memory_.peer != stored_.peer;
  }

  void begin_commit(const cursors& next) noexcept {
    assert(!in_commit_ && next != stored_);
    in_commit_ = next;
    cursor_commit_at_ = never;
  }
  completed complete_commit() noexcept {
    assert(in_commit_);
    const cursors& next = *in_commit_;
    completed c;
    c.first_send = stored_.outbox_next;
    c.acks_changed = next.inbox_first != stored_.inbox_first ||
                     next.received() != stored_.received() ||
                     next.advertised_first != stored_.advertised_first || next.peer != stored_.peer;
    c.incarnation_changed = next.local != stored_.local;
    stored_ = next;
    in_commit_.reset();
    return c;
  }
  void fail_commit() noexcept {
    assert(in_commit_);
    in_commit_.reset();
  }

  // Cursors that moved alone go to the store with the next change, or by themselves soon.

  bool cursor_commit_scheduled() const noexcept { return cursor_commit_at_ != never; }
  void schedule_cursor_commit(timestamp at, const cursors& now) noexcept {
    if (now != stored_) cursor_commit_at_ = at;
  }
  bool cursor_commit_due(timestamp now) const noexcept { return cursor_commit_at_ <= now; }
  void cancel_cursor_commit() noexcept { cursor_commit_at_ = never; }
  void handle_timeout(timestamp now) noexcept {
    if (cursor_commit_at_ <= now) cursor_commit_at_ = overdue;
  }
  timestamp deadline() const noexcept {
    return in_commit_ || cursor_commit_at_ == overdue ? never : cursor_commit_at_;
  }

  bool invariants_hold() const noexcept {
    if (!ordered(stored_) || !identifies(memory_) || memory_.acknowledged >= outbox_next()) {
      return false;
    }
    return !in_commit_ || (ordered(*in_commit_) && follows(*in_commit_, stored_));
  }

 private:
  static bool identifies(const cursors& c) noexcept {
    return bool(c.local) && c.peer_confirmed_incarnation <= 1;
  }
  static bool ordered(const cursors& c) noexcept {
    return identifies(c) && c.outbox_first <= c.outbox_next && c.acknowledged < c.outbox_next &&
           c.inbox_first <= c.inbox_next && c.stream_start <= c.inbox_next &&
           c.advertised_first <= c.inbox_next;
  }
  static bool follows(const cursors& c, const cursors& before) noexcept {
    return c != before && c.outbox_first >= before.outbox_first &&
           c.outbox_next >= before.outbox_next && c.inbox_first >= before.inbox_first &&
           c.inbox_next >= before.inbox_next && c.stream_start >= before.stream_start;
  }

  static constexpr timestamp overdue = timestamp::min();

  cursors stored_;
  std::optional<cursors> in_commit_;
  /// Of these, the streams move the cursors of the queues themselves.
  cursors memory_;
  std::uint64_t baseline_delivered_;
  timestamp cursor_commit_at_ = never;
  bool session_was_open_ = false;
};

}  // namespace ilm::inline v0::protocol
