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

/// The cursors in the store, those of the change in commit, and those in memory that go with the
/// next change. At most one change is in commit. The peer is told of those in the store only.
class durable_state {
 public:
  /// The difference that a change made.
  struct completed {
    std::uint64_t first_send = 0;  ///< the sequence of its first message in the outbox
    bool claim_changed = false;    ///< the next ack says something new
  };

  explicit durable_state(const cursors& stored) noexcept : stored_(stored), memory_(stored) {
    assert(invariants_hold());
  }

  const cursors& stored() const noexcept { return stored_; }
  bool in_commit() const noexcept { return in_commit_.has_value(); }
  /// Whether the store has the history of this side that is in memory.
  bool history_is_stored() const noexcept { return stored_.history.base == memory_.history.base; }
  /// Whether the store has the peer's history and stream, from where the peer still holds it.
  bool peer_is_stored() const noexcept {
    return stored_.met() && stored_.history.seen.count >= peer_base_ &&
           stored_.history.seen.count <= memory_.history.seen.count &&
           stored_.inbox.stream == memory_.inbox.stream &&
           stored_.inbox.received() + 1 >= peer_first_;
  }
  bool met() const noexcept { return memory_.met(); }
  std::uint64_t acknowledged() const noexcept { return memory_.outbox.acknowledged; }
  /// The sequence after the last message that is stored or in commit.
  std::uint64_t outbox_next() const noexcept {
    return in_commit_ ? in_commit_->outbox.next : stored_.outbox.next;
  }

  /// The cursors as they stand in memory; `outbox.next` is that of the store.
  cursors current(const sender& s, const receiver& r) const noexcept {
    cursors c = memory_;
    c.outbox.next = stored_.outbox.next;
    c.outbox.last_hash = stored_.outbox.last_hash;
    s.write(c.outbox);
    r.write(c.inbox);
    return c;
  }

  // Inputs from the session. `now` are the cursors in memory.

  /// A claim of the peer that is in order.
  void handle_claim(const claim& c, bool follows_our_stream) noexcept {
    apply_stamps(memory_.history, c, peer_base_);
    if (follows_our_stream) {
      assert(c.received < stored_.outbox.next);
      memory_.outbox.acknowledged = std::max(memory_.outbox.acknowledged, c.received);
    }
  }
  /// A hello opens a session.
  void handle_session(const hello_record& theirs, const reconciliation& r) noexcept {
    assert(r.opens_session());
    if (r.adopts()) {
      adopt_history(memory_, theirs, r);
      if (r.restarts_stream) stream_replaced_ = true;
    }
    peer_base_ = theirs.base;
    peer_first_ = theirs.stream == memory_.inbox.stream ? theirs.first : 0;
  }
  /// A hello shows that this side's store went back.
  void handle_loss(const cursors& now, const hello_record& theirs, const reconciliation& r,
                   std::uint64_t random) noexcept {
    assert(r.breaks());
    memory_ = now;
    break_history(memory_, theirs, r, in_commit_ ? in_commit_->history.mark.count : 0, random);
  }

  // The store.

  /// Whether the store should learn of another history, of either side, without delay.
  bool identity_changed() const noexcept {
    return !history_is_stored() || (met() && !peer_is_stored());
  }
  /// Whether the peer has confirmed the last stamp, so that what happened since can be told.
  bool may_tell() const noexcept { return memory_.history.confirmed == memory_.history.mark; }
  /// Whether messages may have been accepted since the last stamp.
  bool accepted() const noexcept { return news_; }
  /// `delivered` as the last stamp tells it.
  std::uint64_t told_delivered() const noexcept { return memory_.history.mark_delivered; }
  const stamp& seen() const noexcept { return memory_.history.seen; }
  bool seen_is_stored() const noexcept { return stored_.history.seen == memory_.history.seen; }

  void begin_commit(const cursors& next) noexcept {
    assert(!in_commit_ && next != stored_);
    news_ = news_ || next.outbox.next != stored_.outbox.next;
    in_commit_ = next;
    stream_replaced_ = false;
    cursor_commit_at_ = never;
  }
  completed complete_commit() noexcept {
    assert(in_commit_);
    const cursors& next = *in_commit_;
    completed c;
    c.first_send = stored_.outbox.next;
    c.claim_changed = next.inbox.received() != stored_.inbox.received() ||
                      next.history.mark != stored_.history.mark ||
                      next.history.seen != stored_.history.seen ||
                      next.inbox.stream != stored_.inbox.stream;
    if (next.history.mark != stored_.history.mark) news_ = false;
    // A stamp that was made for the change is this history's, unless that broke meanwhile.
    if (next.history.base == memory_.history.base) keep_stamp(next);
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
    if (!stored_.consistent() || !memory_.history.mark ||
        memory_.outbox.acknowledged >= outbox_next()) {
      return false;
    }
    return !in_commit_ || (in_commit_->consistent() && follows(*in_commit_, stored_));
  }

 private:
  static bool follows(const cursors& c, const cursors& before) noexcept {
    return c != before && c.outbox.first >= before.outbox.first &&
           c.outbox.next >= before.outbox.next && c.inbox.first >= before.inbox.first &&
           c.inbox.next >= before.inbox.next && c.inbox.start >= before.inbox.start &&
           c.history.mark.count >= before.history.mark.count;
  }
  void keep_stamp(const cursors& stored) noexcept {
    lineage& own = memory_.history;
    if (stored.history.mark.count <= own.mark.count) return;
    own.mark = stored.history.mark;
    // The peer's stream may be another one by now, even one of the same name.
    if (stream_replaced_) return;
    own.mark_delivered = stored.history.mark_delivered;
    own.mark_hash = stored.history.mark_hash;
  }

  static constexpr timestamp overdue = timestamp::min();

  cursors stored_;
  std::optional<cursors> in_commit_;
  /// Of these, the streams move the cursors of the queues themselves.
  cursors memory_;
  std::uint64_t peer_base_ = 0;   ///< the count of the stamp at which the peer's history began
  std::uint64_t peer_first_ = 0;  ///< the first sequence that the peer still holds
  timestamp cursor_commit_at_ = never;
  bool news_ = true;              ///< messages may have been accepted since the last stamp
  bool stream_replaced_ = false;  ///< the peer's, since the last commit began
};

}  // namespace ilm::inline v0::protocol
