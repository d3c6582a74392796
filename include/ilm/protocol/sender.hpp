#pragma once

#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/frame.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/rtt.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::protocol {

/// What the receiving side granted when the session opened.
struct session_terms {
  std::uint64_t send_from = 1;       ///< the first sequence to send
  std::uint64_t received_bytes = 0;  ///< the receiver's count of bytes before it
  std::uint64_t credit_sequence = 0;
  std::uint64_t credit_bytes = 0;
  std::size_t maximum_message = 0;
};

/// The sending half of a stream: which committed messages are in memory, in flight, lost or due.
///
/// Memory holds one contiguous run of the outbox, `cache_first_` to `cache_next_ - 1`. It begins at
/// the first sequence that is not acknowledged and grows by what was just committed, if that
/// follows at once, or by a page of the store. There is no other source, so a replay has no seam.
/// It holds no more than a window of messages, so no more can be in flight.
class sender {
 public:
  sender(const options& o, bool reliable, std::size_t frame_limit)
      : options_(o), reliable_(reliable), frame_limit_(frame_limit), round_trip_(o) {}

  /// Where the outbox stands when the store was opened.
  void restore(const cursors& c) noexcept {
    std::uint64_t first = c.outbox_first;
    std::uint64_t next = c.outbox_next;
    delivered_ = first - 1;
    delivered_epoch_ = c.erased_epoch;
    received_ = first - 1;
    committed_next_ = next;
    cache_first_ = cache_next_ = send_next_ = first;
    highest_sent_ = next - 1;  // what an earlier life sent is unknown
  }

  /// The cursors of this half.
  void write(cursors& c) const noexcept {
    c.outbox_first = delivered_ + 1;
    c.erased_epoch = delivered_epoch_;
  }

  std::uint64_t delivered() const noexcept { return delivered_; }
  std::uint64_t delivered_epoch() const noexcept { return delivered_epoch_; }
  std::uint64_t highest_sent() const noexcept { return highest_sent_; }
  std::uint64_t in_flight() const noexcept { return flowing_ ? send_next_ - 1 - received_ : 0; }
  std::size_t unsent_bytes() const noexcept { return cached_bytes_ - in_flight_bytes_; }
  std::uint64_t resent() const noexcept { return resent_; }
  duration rtt() const noexcept { return round_trip_.smoothed(); }
  bool has_room() const noexcept {
    return cached() < options_.window_messages && cached_bytes_ < options_.window_bytes;
  }

  /// The epoch of a message that is in memory, or was the last one delivered.
  std::optional<std::uint64_t> epoch_of(std::uint64_t sequence) const noexcept {
    if (sequence == delivered_) return delivered_epoch_;
    if (sequence < cache_first_ || sequence >= cache_next_) return std::nullopt;
    return at(sequence).epoch;
  }

  /// A session is open. Acknowledgements count from now on, but nothing is sent before
  /// `handle_verified` says that the peer's last message is the one in this outbox.
  void handle_session(const session_terms& terms) {
    if (terms.send_from < cache_first_ || terms.send_from > cache_next_) {
      drop_cache(terms.send_from);
    }
    received_ = terms.send_from - 1;
    forget_below(terms.send_from);
    for (entry& e : cache_) e = entry(std::move(e.contents), e.epoch);
    lost_ = 0;
    send_next_ = terms.send_from;
    received_bytes_ = terms.received_bytes;
    in_flight_bytes_ = 0;
    credit_sequence_ = terms.credit_sequence;
    credit_bytes_ = terms.credit_bytes;
    peer_maximum_ = terms.maximum_message;
    newest_order_ = 0;
    blocked_ = false;
    ping_due_ = false;
    flowing_ = true;
    verified_ = false;
    round_trip_.progress();
    timeout_at_ = never;
  }

  void handle_verified() noexcept { verified_ = true; }

  /// The peer's application has everything up to `sequence`, whose epoch is `epoch`.
  void handle_delivered(std::uint64_t sequence, std::uint64_t epoch) noexcept {
    if (sequence <= delivered_) return;
    delivered_ = sequence;
    delivered_epoch_ = epoch;
  }

  void handle_session_end() noexcept {
    flowing_ = verified_ = false;
    timeout_at_ = loss_at_ = never;
    drop_cache(received_ + 1);
  }

  /// `sends` are in the store from `first` on, with one epoch. The contents are moved from.
  void handle_committed(std::uint64_t first, std::uint64_t epoch, std::span<submission> sends) {
    committed_next_ = first + sends.size();
    if (!flowing_) return;
    for (submission& s : sends) {
      if (first++ == cache_next_ && has_room()) append(std::move(s.contents), epoch);
    }
  }

  /// What the store had from the requested sequence on. Pages of an earlier wish are ignored.
  void handle_page(std::span<const stored_message> page) {
    for (const stored_message& m : page) {
      bool next = m.sequence == cache_next_ && m.sequence < committed_next_;
      if (next && has_room()) append(m.contents, m.epoch);
    }
  }

  /// The page that is wanted now. A look: nothing changes.
  std::optional<page_request> next_page() const noexcept {
    if (!verified_ || blocked_ || cache_next_ >= committed_next_ || !has_room())
      return std::nullopt;
    // Half a page in hand is enough to go on with until the next one is wanted.
    if (cache_next_ - send_next_ > options_.page_messages / 2) return std::nullopt;
    page_request r;
    r.purpose = page_purpose::outbox;
    r.from = cache_next_;
    r.messages = std::min<std::size_t>(options_.page_messages, options_.window_messages - cached());
    r.bytes = std::min(options_.page_bytes, options_.window_bytes - cached_bytes_);
    return r;
  }

  /// Takes an acknowledgement. It may be late or repeated: cursors and credit only grow.
  std::error_code handle_ack(const ack_record& a, timestamp now, random_source& random) {
    if (a.received >= committed_next_) return error::acknowledged_unsent;
    for (const sequence_range& r : a.ranges) {
      if (r.last >= committed_next_) return error::acknowledged_unsent;
    }
    if (!credit_in_range(a.credit_sequence, a.received, a.credit_bytes, a.received_bytes)) {
      return error::credit_out_of_range;
    }
    bool progress = a.received > received_ || a.delivered > delivered_ ||
                    a.credit_sequence > credit_sequence_ || a.credit_bytes > credit_bytes_;
    credit_sequence_ = std::max(credit_sequence_, a.credit_sequence);
    credit_bytes_ = std::max(credit_bytes_, a.credit_bytes);
    acknowledge(a.received, a.received_bytes, now);
    for (const sequence_range& r : a.ranges) hold(r, now);
    if (!reliable_) find_losses(now);
    handle_delivered(a.delivered, a.delivered_epoch);
    if (progress) {
      round_trip_.progress();
      timeout_at_ = never;
      arm(now, random);
    }
    return {};
  }

  bool ping_due() const noexcept { return ping_due_; }
  void pinged() noexcept { ping_due_ = false; }

  /// The next message to send if it can never fit a frame or the peer's limit; reported once.
  std::optional<event_record> poll_blocked() noexcept {
    if (!blocked_ || blocked_reported_ == send_next_) return std::nullopt;
    blocked_reported_ = send_next_;
    event_record e(event_kind::stream_blocked, error::message_too_large);
    e.outbound = sequence_range{send_next_, send_next_};
    return e;
  }

  bool invariants_hold() const noexcept {
    return received_ >= delivered_ && cache_first_ <= send_next_ && send_next_ <= cache_next_ &&
           cache_next_ - cache_first_ == cache_.size() && cache_next_ <= committed_next_ &&
           in_flight_bytes_ <= cached_bytes_;
  }

  /// Puts what is lost, then what is new, into the frame: up to window, credit and room.
  void fill(frame_writer& out, timestamp now, random_source& random) {
    if (!verified_) return;
    ++order_;
    std::uint64_t expected = 0;
    std::uint64_t record_epoch = 0;
    auto put = [&](std::uint64_t sequence) {
      entry& e = at(sequence);
      bool new_record = sequence != expected || e.epoch != record_epoch;
      if (!out.fits(e.contents.size(), new_record)) return false;
      if (!out.empty() && out.size() + e.contents.size() > options_.frame_fill) return false;
      if (new_record) out.begin_data(e.epoch, sequence);
      out.item(e.contents.view());
      expected = sequence + 1;
      record_epoch = e.epoch;
      e.sent_at = now;
      e.order = order_;
      if (e.transmissions < 255) ++e.transmissions;
      return true;
    };
    if (lost_ > 0) {
      for (std::uint64_t s = received_ + 1; s < send_next_ && lost_ > 0; ++s) {
        if (!at(s).lost) continue;
        if (!put(s)) return arm(now, random);
        at(s).lost = false;
        --lost_;
        ++resent_;
        disordered_until_ = std::max(disordered_until_, send_next_ - 1);
      }
    }
    while (may_send_new()) {
      if (!put(send_next_)) break;
      std::size_t size = at(send_next_).contents.size();
      in_flight_bytes_ += size;
      highest_sent_ = std::max(highest_sent_, send_next_);
      ++send_next_;
    }
    arm(now, random);
  }

  bool has_data() noexcept { return verified_ && (lost_ > 0 || may_send_new()); }

  timestamp deadline() const noexcept { return std::min(timeout_at_, loss_at_); }

  /// Time passed: what waited long enough is lost; a side that waits for anything at all asks.
  void handle_timeout(timestamp now, random_source& random) {
    if (loss_at_ <= now) find_losses(now);
    if (timeout_at_ > now) return;
    round_trip_.back_off();
    std::size_t bytes = 0;
    for (std::uint64_t s = received_ + 1; s < send_next_ && bytes < options_.frame_fill; ++s) {
      entry& e = at(s);
      if (e.held) continue;
      bytes += e.contents.size() + data_item_size;
      mark_lost(e);
    }
    if (bytes == 0) ping_due_ = true;
    timeout_at_ = never;
    arm(now, random);
  }

  /// Starts the timer if this side waits and none runs.
  void arm(timestamp now, random_source& random) noexcept {
    if (reliable_ || !flowing_ || delivered_ + 1 >= committed_next_) {
      timeout_at_ = never;
    } else if (timeout_at_ == never) {
      timeout_at_ = after(now, round_trip_.timeout(random));
    }
  }

 private:
  struct entry {
    entry(bytes what, std::uint64_t life) : contents(std::move(what)), epoch(life) {}

    bytes contents;
    std::uint64_t epoch;
    timestamp sent_at{};
    std::uint64_t order = 0;  ///< the frame, in order of sending, that carried it last
    std::uint8_t transmissions = 0;
    bool held = false;  ///< the peer has it out of order
    bool lost = false;  ///< to be sent again
  };

  entry& at(std::uint64_t s) noexcept { return cache_[static_cast<std::size_t>(s - cache_first_)]; }
  const entry& at(std::uint64_t s) const noexcept {
    return cache_[static_cast<std::size_t>(s - cache_first_)];
  }
  std::size_t cached() const noexcept { return cache_.size(); }

  void append(bytes contents, std::uint64_t epoch) {
    cached_bytes_ += contents.size();
    cache_.emplace_back(std::move(contents), epoch);
    ++cache_next_;
  }

  void drop_cache(std::uint64_t restart) noexcept {
    cache_.clear();
    cached_bytes_ = in_flight_bytes_ = 0;
    lost_ = 0;
    cache_first_ = cache_next_ = send_next_ = restart;
  }

  void forget_below(std::uint64_t s) noexcept {
    while (cache_first_ < s && !cache_.empty()) {
      if (cache_.front().lost) --lost_;
      cached_bytes_ -= cache_.front().contents.size();
      cache_.pop_front();
      ++cache_first_;
    }
  }

  bool may_send_new() noexcept {
    if (send_next_ >= cache_next_ || send_next_ > credit_sequence_) return false;
    std::size_t size = at(send_next_).contents.size();
    if (size + frame_overhead > frame_limit_ || size > peer_maximum_) {
      blocked_ = true;
      return false;
    }
    // One message always may go, also one that was stored when windows were larger.
    if (in_flight_bytes_ != 0 && in_flight_bytes_ + size > options_.window_bytes) return false;
    return received_bytes_ + in_flight_bytes_ + size <= credit_bytes_;
  }

  void acknowledge(std::uint64_t to, std::uint64_t counted, timestamp now) {
    if (to < received_) return;
    // The count may grow with no message of ours: by what an earlier incarnation had sent.
    if (to == received_) {
      received_bytes_ = std::max(received_bytes_, counted);
      return;
    }
    received_bytes_ = counted;
    if (to >= cache_first_ && to < cache_next_ && at(to).transmissions == 1 && !at(to).held) {
      round_trip_.sample(now - at(to).sent_at);
    }
    for (std::uint64_t s = received_ + 1; s <= to && s < send_next_; ++s) {
      if (!at(s).held) arrived(at(s), now);
      in_flight_bytes_ -= at(s).contents.size();
    }
    received_ = to;
    if (to >= cache_next_) {
      drop_cache(to + 1);
    } else {
      forget_below(to + 1);
      send_next_ = std::max(send_next_, to + 1);
    }
  }

  void hold(const sequence_range& r, timestamp now) {
    for (std::uint64_t s = std::max(r.first, received_ + 1); s <= r.last && s < send_next_; ++s) {
      entry& e = at(s);
      if (e.held) continue;
      e.held = true;
      arrived(e, now);
      if (e.lost) {
        e.lost = false;
        --lost_;
      }
    }
    disordered_until_ = std::max(disordered_until_, send_next_ - 1);
  }

  void arrived(const entry& e, timestamp now) noexcept {
    if (e.transmissions > 1 && !round_trip_.plausible(now - e.sent_at)) {
      // It was the first one that arrived; what was sent after the repair proves nothing.
      round_trip_.needless_repair();
      return;
    }
    newest_order_ = std::max(newest_order_, e.order);
  }

  void mark_lost(entry& e) noexcept {
    if (e.lost) return;
    e.lost = true;
    ++lost_;
  }

  /// A message is lost if one sent later arrived and reordering no longer explains it (RFC 8985,
  /// section 6.2). Without a repair or a gap in the present flight, nothing can be out of order.
  void find_losses(timestamp now) {
    loss_at_ = never;
    if (received_ >= disordered_until_) return;
    duration patience = round_trip_.smoothed() + round_trip_.reordering();
    for (std::uint64_t s = received_ + 1; s < send_next_; ++s) {
      entry& e = at(s);
      if (e.held || e.lost || e.order >= newest_order_) continue;
      timestamp lost_at = after(e.sent_at, patience);
      if (lost_at <= now) {
        mark_lost(e);
      } else {
        loss_at_ = std::min(loss_at_, lost_at);
      }
    }
  }

  const options& options_;
  bool reliable_;
  std::size_t frame_limit_;
  round_trip round_trip_;

  std::uint64_t delivered_ = 0;
  std::uint64_t delivered_epoch_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t committed_next_ = 1;
  std::uint64_t highest_sent_ = 0;

  std::deque<entry> cache_;
  std::uint64_t cache_first_ = 1;
  std::uint64_t cache_next_ = 1;
  std::uint64_t send_next_ = 1;
  std::size_t cached_bytes_ = 0;
  std::size_t in_flight_bytes_ = 0;
  std::uint64_t lost_ = 0;

  std::uint64_t received_bytes_ = 0;
  std::uint64_t credit_sequence_ = 0;
  std::uint64_t credit_bytes_ = 0;
  std::size_t peer_maximum_ = 0;

  std::uint64_t order_ = 0;
  std::uint64_t newest_order_ = 0;
  timestamp timeout_at_ = never;
  timestamp loss_at_ = never;
  std::uint64_t resent_ = 0;
  std::uint64_t blocked_reported_ = 0;
  std::uint64_t disordered_until_ = 0;
  bool flowing_ = false;
  bool verified_ = false;
  bool blocked_ = false;
  bool ping_due_ = false;
};

}  // namespace ilm::protocol
