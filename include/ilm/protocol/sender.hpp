#pragma once

#include <ilm/attributes.hpp>
#include <ilm/error.hpp>
#include <ilm/event.hpp>
#include <ilm/message.hpp>
#include <ilm/options.hpp>
#include <ilm/protocol/frame_writer.hpp>
#include <ilm/protocol/loss_detector.hpp>
#include <ilm/protocol/memory_use.hpp>
#include <ilm/protocol/outbox_cache.hpp>
#include <ilm/protocol/page.hpp>
#include <ilm/protocol/random.hpp>
#include <ilm/protocol/store_change.hpp>
#include <ilm/protocol/stream_hash.hpp>
#include <ilm/protocol/time.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::protocol {

/// The terms that the receiving side granted when the session opened.
struct session_terms {
  std::uint64_t send_from = 1;  ///< the first sequence to send
  stream_hash before;           ///< of the stream, before that
  credit granted;               ///< its `received_bytes` is that before `send_from`
  std::size_t maximum_message = 0;
};

/// The sending half of a stream: the messages in memory, in flight, lost or due.
///
/// Memory holds one contiguous run of the outbox, `cache_.first()` to `cache_.next() - 1`. It
/// begins at the first sequence that is not acknowledged and grows by messages just committed, if
/// they follow at once, or by a page of the store. There is no other source, so a replay has no
/// seam. It holds no more than a window of messages, so no more can be in flight.
class sender {
 public:
  sender(const options& o, bool reliable, std::size_t frame_limit)
      : options_(o), reliable_(reliable), frame_limit_(frame_limit), losses_(o) {}

  /// Where the outbox stands when the store was opened.
  void restore(const outbox_cursors& c) noexcept {
    assert(c.first != 0 && c.first <= c.next);
    delivered_ = c.first - 1;
    delivered_hash_ = c.erased_hash;
    acknowledged_ = c.first - 1;
    committed_next_ = c.next;
    committed_hash_ = c.last_hash;
    cache_.clear(c.first, c.erased_hash);
    send_next_ = c.first;
  }

  /// The cursors of this half.
  void write(outbox_cursors& c) const noexcept {
    c.first = delivered_ + 1;
    c.erased_hash = delivered_hash_;
  }

  std::uint64_t delivered() const noexcept { return delivered_; }
  /// The sequence after the last message in the store.
  std::uint64_t committed_next() const noexcept { return committed_next_; }
  bool session_open() const noexcept { return stage_ != stage::closed; }
  std::uint64_t in_flight() const noexcept {
    return stage_ != stage::closed ? send_next_ - 1 - acknowledged_ : 0;
  }
  std::size_t unsent_bytes() const noexcept { return cache_.bytes() - in_flight_bytes_; }
  std::uint64_t resent() const noexcept { return resent_; }
  duration rtt() const noexcept { return losses_.times().smoothed(); }
  bool has_room() const noexcept {
    return cache_.size() < options_.window_messages && cache_.bytes() < options_.window_bytes;
  }

  /// The hash of the stream at a sequence, if it is in memory.
  std::optional<stream_hash> hash_at(std::uint64_t sequence) const noexcept {
    if (sequence == delivered_) return delivered_hash_;
    if (sequence + 1 == committed_next_) return committed_hash_;
    if (sequence == found_sequence_) return found_hash_;
    // Before a hello is verified, the hash at the start is what the peer claims.
    std::uint64_t first = cache_.first() + (stage_ == stage::receiving ? 1 : 0);
    bool cached = sequence + 1 >= first && sequence < cache_.next();
    return cached ? std::optional(cache_.hash_before(sequence + 1)) : std::nullopt;
  }

  /// The hash of the stream at a sequence, read from the store.
  void handle_found(std::uint64_t sequence, const stream_hash& hash) noexcept {
    found_sequence_ = sequence;
    found_hash_ = hash;
  }

  /// A session is open. Acknowledgements count from now on, but nothing is sent before
  /// `handle_verified` says that the peer's last message is the one in this outbox.
  void handle_session(const session_terms& terms) {
    assert(terms.send_from > delivered_ && terms.send_from <= committed_next_);
    bool unverified = stage_ == stage::receiving;
    if (unverified || terms.send_from < cache_.first() || terms.send_from > cache_.next()) {
      drop_cache(terms.send_from, terms.before);
    }
    acknowledged_ = terms.send_from - 1;
    cache_.erase_below(terms.send_from);
    cache_.reset_transmissions();
    send_next_ = terms.send_from;
    granted_ = terms;
    in_flight_bytes_ = 0;
    losses_.handle_session();
    blocked_ = false;
    ping_due_ = probed_ = false;
    stage_ = stage::receiving;
    timeout_at_ = never;
  }

  void handle_verified() noexcept {
    assert(stage_ == stage::receiving);
    stage_ = stage::sending;
  }

  /// The peer's application has everything up to `sequence`, where the stream has the hash
  /// `claimed` as the peer says. Where it is known here, that counts: a false one would part the
  /// two for good.
  void handle_delivered(std::uint64_t sequence, const stream_hash& claimed) noexcept {
    if (sequence <= delivered_) return;
    assert(sequence <= acknowledged_);
    delivered_hash_ = hash_at(sequence).value_or(claimed);
    delivered_ = sequence;
  }

  void handle_session_end() noexcept {
    // What the peer claimed and nobody verified is forgotten.
    bool unverified = std::exchange(stage_, stage::closed) == stage::receiving;
    if (unverified) acknowledged_ = delivered_;
    timeout_at_ = never;
    losses_.handle_session_end();
    frugal_ = false;
    drop_cache(acknowledged_ + 1,
               unverified ? delivered_hash_ : cache_.hash_before(cache_.first()));
  }

  /// `sends` are in the store from `first` on. The contents are moved from.
  void handle_committed(std::uint64_t first, std::span<submission> sends) {
    assert(first == committed_next_);
    committed_next_ = first + sends.size();
    if (!sends.empty()) committed_hash_ = sends.back().hash;
    if (stage_ == stage::closed) return;
    for (submission& s : sends) {
      if (first++ == cache_.next() && has_room()) {
        cache_.append(std::move(s.message), s.salt, s.hash);
      }
    }
  }

  /// Messages of the store from the requested sequence on. Those of an earlier request are ignored,
  /// and so is one that is not the message that was stored.
  void handle_page(std::span<const stored_message> page) {
    for (const stored_message& m : page) {
      bool next = m.sequence == cache_.next() && m.sequence < committed_next_;
      if (next && has_room() && !attributes::check(m.attributes.view()) &&
          extend(cache_.hash_before(m.sequence), m) == m.hash) {
        cache_.append(payload(m.contents, m.attributes), m.salt, m.hash);
      } else if (is_wanted(m.sequence)) {
        // The hash of the message, and the one before it, are known here.
        bool same = extend(cache_.hash_before(m.sequence), m) == cache_.at(m.sequence).hash;
        if (same) cache_.load(m.sequence, payload(m.contents, m.attributes));
      }
    }
    if (cache_.next() == committed_next_) frugal_ = false;
  }

  /// The page that is wanted now. A look: nothing changes.
  std::optional<page_request> next_page() const noexcept {
    if (stage_ != stage::sending) return std::nullopt;
    page_request r;
    r.purpose = page_purpose::outbox;
    if (cache_.lost() > 0 && is_wanted(cache_.first_lost())) {
      r.from = cache_.first_lost();
      r.messages = static_cast<std::size_t>(
          std::min<std::uint64_t>(options_.page_messages, send_next_ - r.from));
      r.bytes = options_.page_bytes;
      return r;
    }
    if (blocked_ || cache_.next() >= committed_next_ || !has_room()) return std::nullopt;
    // Half a page in hand is enough to go on with until the next one is wanted.
    if (cache_.next() - send_next_ > options_.page_messages / 2) return std::nullopt;
    if (frugal_ && !could_send_at_once()) return std::nullopt;
    r.from = cache_.next();
    r.messages =
        std::min<std::size_t>(options_.page_messages, options_.window_messages - cache_.size());
    r.bytes = std::min(options_.page_bytes, options_.window_bytes - cache_.bytes());
    return r;
  }

  /// Whether the peer has exactly the messages of this stream that an ack says; none if the hash
  /// there is no longer in memory. What an earlier ack said already is not asked again.
  std::optional<bool> confirms(const claim& c) const noexcept {
    assert(session_open());
    if (c.received <= acknowledged_) return true;
    std::optional<stream_hash> hash = hash_at(c.received);
    if (!hash || c.received >= cache_.next()) return std::nullopt;
    return *hash == c.received_hash;
  }

  /// Why an ack is not to be believed; none if it is.
  std::error_code check(const ack_record& a) const noexcept {
    for (const sequence_range& r : a.ranges) {
      if (r.last >= committed_next_) return error::acknowledged_unsent;
    }
    if (!losses_.was_sent(a.echo)) return error::acknowledged_unsent;
    // The peer takes no more than it granted, and in this session nothing else went to it.
    bool granted = a.credit.received_bytes <= granted_.granted.bytes;
    return granted ? std::error_code() : error::credit_out_of_range;
  }

  /// Takes an acknowledgement. It may be late or repeated: cursors and credit only grow.
  /// `delivered`: whether it counts that far.
  void handle_ack(const ack_record& a, bool delivered, timestamp now, random_source& random) {
    assert(session_open() && !check(a));
    const claim& c = a.claim;
    bool progress = c.received > acknowledged_ || (delivered && c.delivered > delivered_) ||
                    a.credit.sequence > granted_.granted.sequence ||
                    a.credit.bytes > granted_.granted.bytes;
    granted_.granted.sequence = std::max(granted_.granted.sequence, a.credit.sequence);
    granted_.granted.bytes = std::max(granted_.granted.bytes, a.credit.bytes);
    losses_.handle_echo(a.echo, now);
    acknowledge(c.received, a.credit.received_bytes);
    for (const sequence_range& r : a.ranges) mark_sacked(r);
    if (!reliable_) losses_.find(cache_, now);
    if (delivered) handle_delivered(c.delivered, c.delivered_hash);
    if (progress) {
      probed_ = false;
      losses_.times().progress();
      timeout_at_ = never;
      arm(now, random);
    }
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
    bool ordered = delivered_ <= acknowledged_ && cache_.first() == acknowledged_ + 1 &&
                   cache_.first() <= send_next_ && send_next_ <= cache_.next() &&
                   cache_.next() <= committed_next_;
    bool bounded = cache_.size() <= options_.window_messages &&
                   in_flight_bytes_ <= cache_.bytes() &&
                   cache_.lost() <= send_next_ - cache_.first();
    bool idle = send_next_ == cache_.first() && timeout_at_ == never;
    return ordered && bounded && cache_.invariants_hold() && losses_.invariants_hold() &&
           (session_open() || idle) && (send_next_ != cache_.first() || in_flight_bytes_ == 0) &&
           (!reliable_ || timeout_at_ == never);
  }

  /// The number of a frame that `fill` is to put messages into.
  std::uint64_t begin_frame(timestamp now) {
    assert(has_data());
    return losses_.handle_frame(now);
  }

  /// Puts lost messages, then new ones, into the frame: up to window, credit and room.
  void fill(frame_writer& out, timestamp now, random_source& random) {
    if (stage_ != stage::sending) return;
    std::uint64_t expected = 0;
    auto put = [&](std::uint64_t sequence) {
      const outgoing_message& e = cache_.at(sequence);
      bool new_record = sequence != expected;
      if (!out.fits(item_size(e), new_record)) return false;
      if (!out.empty() && out.size() + e.size() > options_.frame_fill) return false;
      if (new_record) out.begin_data(sequence, cache_.hash_before(sequence));
      out.item({e.message.contents.view(), e.message.attributes.view(), e.salt});
      expected = sequence + 1;
      losses_.handle_sent(cache_, sequence, now);
      return true;
    };
    while (may_send_lost()) {
      if (!put(cache_.first_lost())) return arm(now, random);
      ++resent_;
    }
    while (may_send_new()) {
      if (!put(send_next_)) break;
      std::size_t size = cache_.at(send_next_).size();
      in_flight_bytes_ += size;
      ++send_next_;
    }
    arm(now, random);
  }

  bool has_data() noexcept {
    return stage_ == stage::sending && (may_send_lost() || may_send_new());
  }

  // Memory.

  memory_use memory() const noexcept {
    memory_use m;
    m.held = cache_.held();
    m.releasable = cache_.releasable(next_to_send(), send_next_);
    return m;
  }
  /// Lets go of contents that are in the store, but for those of the next message to send. Pages
  /// hold no more than can be sent at once from then on, until there is no backlog.
  void release() {
    cache_.release(next_to_send(), send_next_);
    frugal_ = cache_.next() < committed_next_;
  }

  timestamp deadline() const noexcept { return std::min(timeout_at_, losses_.deadline()); }

  /// Time passed: messages in flight for long enough are lost; without any, a ping asks for an ack.
  /// If that brought nothing new, the peer may have what it named no more: a copy of it goes on.
  /// The first message of all goes with the lost ones although the peer named it: had it kept that,
  /// it would have come further (RFC 2018, section 8).
  void handle_timeout(timestamp now, random_source& random) {
    if (losses_.deadline() <= now) losses_.find(cache_, now);
    if (timeout_at_ > now) return;
    std::size_t bytes = 0;
    for (std::uint64_t s = acknowledged_ + 1; bytes < options_.frame_fill; ++s) {
      if (!probed_) s = cache_.next_not_sacked(s);
      if (s >= send_next_) break;
      bytes += item_size(cache_.at(s));
      cache_.mark_lost(s);
    }
    if (bytes != 0) cache_.mark_lost(acknowledged_ + 1);
    probed_ = bytes == 0;
    if (bytes == 0) {
      losses_.times().probe();
      ping_due_ = true;
    } else {
      losses_.times().back_off();
    }
    timeout_at_ = never;
    arm(now, random);
  }

  /// Starts the timer if anything is unconfirmed and none runs.
  void arm(timestamp now, random_source& random) noexcept {
    if (reliable_ || stage_ == stage::closed || delivered_ + 1 >= committed_next_) {
      timeout_at_ = never;
    } else if (timeout_at_ == never) {
      timeout_at_ = after(now, losses_.times().timeout(random));
    }
  }

 private:
  enum class stage : std::uint8_t {
    closed,     ///< no session
    receiving,  ///< acks count, nothing is sent yet
    sending,
  };

  /// Whether the message is to be sent again, and its contents are in the store alone.
  bool is_wanted(std::uint64_t s) const noexcept {
    return cache_.contains(s) && cache_.at(s).lost() && !cache_.at(s).loaded;
  }
  bool may_send_lost() const noexcept {
    return cache_.lost() > 0 && cache_.at(cache_.first_lost()).loaded;
  }
  std::uint64_t next_to_send() const noexcept {
    return cache_.lost() > 0 ? cache_.first_lost() : send_next_;
  }
  /// Whether a new message could go, of which nothing but the size is unknown.
  bool could_send_at_once() const noexcept {
    return send_next_ == cache_.next() && send_next_ <= granted_.granted.sequence &&
           in_flight_bytes_ < granted_.granted.bytes - granted_.granted.received_bytes;
  }

  /// Of one whose contents are not here, about.
  static std::size_t item_size(const outgoing_message& m) noexcept {
    if (!m.loaded) return protocol::item_size(m.size(), 0, m.salt != 0);
    return protocol::item_size(m.message.contents.size(), m.message.attributes.size(), m.salt != 0);
  }

  void drop_cache(std::uint64_t restart, const stream_hash& before) noexcept {
    cache_.clear(restart, before);
    send_next_ = restart;
    in_flight_bytes_ = 0;
  }

  bool may_send_new() noexcept {
    if (send_next_ >= cache_.next() || send_next_ > granted_.granted.sequence) return false;
    const outgoing_message& m = cache_.at(send_next_);
    std::size_t size = m.size();
    if (!fits_frame(m.message, frame_limit_) || size > granted_.maximum_message) {
      blocked_ = true;
      return false;
    }
    // One message always may go, also one that was stored when windows were larger.
    if (in_flight_bytes_ != 0 && in_flight_bytes_ + size > options_.window_bytes) return false;
    assert(granted_.granted.received_bytes <= granted_.granted.bytes);
    std::uint64_t left = granted_.granted.bytes - granted_.granted.received_bytes;
    return in_flight_bytes_ + size <= left;
  }

  void acknowledge(std::uint64_t to, std::uint64_t counted) {
    if (to < acknowledged_) return;
    // The count may grow with no new message: by those of an earlier life.
    if (to == acknowledged_) {
      granted_.granted.received_bytes = std::max(granted_.granted.received_bytes, counted);
      return;
    }
    granted_.granted.received_bytes = counted;
    for (std::uint64_t s = acknowledged_ + 1; s <= to && s < send_next_; ++s) {
      const outgoing_message& arrived = cache_.at(s);
      losses_.handle_arrival(arrived);
      in_flight_bytes_ -= arrived.size();
    }
    assert(to < cache_.next());
    acknowledged_ = to;
    cache_.erase_below(to + 1);
    send_next_ = std::max(send_next_, to + 1);
  }

  void mark_sacked(const sequence_range& r) {
    sequence_range sent{std::max(r.first, acknowledged_ + 1), std::min(r.last, send_next_ - 1)};
    if (sent.first <= sent.last) cache_.mark_sacked(sent);
  }

  const options& options_;
  bool reliable_;
  std::size_t frame_limit_;
  loss_detector losses_;

  std::uint64_t delivered_ = 0;
  stream_hash delivered_hash_;
  std::uint64_t acknowledged_ = 0;
  std::uint64_t committed_next_ = 1;
  stream_hash committed_hash_;  ///< of the stream, before `committed_next_`

  std::uint64_t found_sequence_ = 0;  ///< 0: none
  stream_hash found_hash_;

  outbox_cache cache_;
  std::uint64_t send_next_ = 1;
  std::size_t in_flight_bytes_ = 0;

  session_terms granted_;  ///< `send_from` is where the session began

  timestamp timeout_at_ = never;
  std::uint64_t resent_ = 0;
  std::uint64_t blocked_reported_ = 0;
  stage stage_ = stage::closed;
  bool blocked_ = false;
  bool frugal_ = false;  ///< memory was short, and a backlog is in the store alone
  bool ping_due_ = false;
  bool probed_ = false;  ///< the timer asked for an ack, and none with news came
};

}  // namespace ilm::inline v0::protocol
