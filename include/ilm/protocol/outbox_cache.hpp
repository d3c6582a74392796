#pragma once

#include <ilm/protocol/sequence_set.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <utility>

namespace ilm::inline v0::protocol {

/// Where a message of the outbox that is in memory stands in the session.
enum class transmission : std::uint8_t {
  unsent,
  in_transit,
  sacked,  ///< the peer has it out of order
  lost,    ///< to be sent again
};

/// A message of the outbox that is in memory, and how it was sent last.
struct outgoing_message {
  outgoing_message(payload p, std::uint64_t salt_, const stream_hash& hash_)
      : message(std::move(p)), salt(salt_), hash(hash_) {}

  std::size_t size() const noexcept { return message.size(); }
  bool sacked() const noexcept { return status == transmission::sacked; }
  bool lost() const noexcept { return status == transmission::lost; }

  payload message;
  std::uint64_t salt;
  stream_hash hash;  ///< of the stream, up to it
  timestamp sent_at{};
  std::uint64_t frame = 0;        ///< the number of the frame that carried it last
  std::uint64_t sent_before = 0;  ///< its neighbours among those in transit; 0: none
  std::uint64_t sent_after = 0;
  std::uint8_t transmissions = 0;
  transmission status = transmission::unsent;
};

/// The run of the outbox that is in memory: contiguous sequences, `first()` to `next() - 1`.
///
/// The messages in transit form a list in the order in which they were sent last, as in RFC 8985,
/// section 7.2; those that are sacked or lost are in sets. So no ack walks a window.
class outbox_cache {
 public:
  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t next() const noexcept { return next_; }
  std::size_t size() const noexcept { return messages_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }
  bool contains(std::uint64_t s) const noexcept { return s >= first_ && s < next_; }

  const outgoing_message& at(std::uint64_t s) const noexcept {
    assert(contains(s));
    return messages_[static_cast<std::size_t>(s - first_)];
  }

  /// The hash of the stream before message `s`.
  const stream_hash& hash_before(std::uint64_t s) const noexcept {
    assert(s >= first_ && s <= next_);
    return s == first_ ? before_ : at(s - 1).hash;
  }

  void append(payload p, std::uint64_t salt, const stream_hash& hash) {
    bytes_ += p.size();
    messages_.emplace_back(std::move(p), salt, hash);
    ++next_;
  }

  // How messages are sent.

  /// A frame carries the message, once more or for the first time.
  void handle_sent(std::uint64_t s, std::uint64_t frame, timestamp now) noexcept {
    assert(frame != 0 && !at(s).sacked());
    outgoing_message& m = take_out(s);
    m.sent_at = now;
    m.frame = frame;
    if (m.transmissions < 255) ++m.transmissions;
    m.status = transmission::in_transit;
    m.sent_before = std::exchange(newest_, s);
    (m.sent_before != 0 ? get(m.sent_before).sent_after : oldest_) = s;
  }
  /// The message in transit that was sent longest ago; 0: none is.
  std::uint64_t oldest_in_transit() const noexcept { return oldest_; }

  /// The peer has the messages of this range, all of which were sent.
  void mark_sacked(const sequence_range& r) {
    sacked_.add(r, [this](const sequence_range& fresh) {
      for (std::uint64_t s = fresh.first; s <= fresh.last; ++s) take_out(s).status = sacked;
    });
  }
  /// The first message from `s` on that is not sacked, or `next()`.
  std::uint64_t next_not_sacked(std::uint64_t s) const noexcept { return sacked_.next_absent(s); }

  /// Not to be lost again before it was sent again. What was sacked is so no longer.
  void mark_lost(std::uint64_t s) {
    if (at(s).lost()) return;
    lost_.insert(s);
    if (at(s).sacked()) sacked_.remove(s);
    take_out(s).status = transmission::lost;
  }
  std::size_t lost() const noexcept { return lost_.size(); }
  std::uint64_t first_lost() const noexcept {
    assert(!lost_.empty());
    return *lost_.begin();
  }

  /// Forgets the messages before `s`.
  void erase_below(std::uint64_t s) {
    assert(s <= next_);
    while (first_ < s) {
      const outgoing_message& gone = take_out(first_);
      bytes_ -= gone.size();
      before_ = gone.hash;
      messages_.pop_front();
      ++first_;
    }
    sacked_.remove_below(s);
  }
  /// Forgets all, and goes on at `restart`; `before` is the hash of the stream before that.
  void clear(std::uint64_t restart, const stream_hash& before) noexcept {
    assert(restart != 0);
    messages_.clear();
    bytes_ = 0;
    first_ = next_ = restart;
    before_ = before;
    forget_marks();
  }
  /// Forgets how the messages were sent.
  void reset_transmissions() noexcept {
    for (outgoing_message& m : messages_) {
      m = outgoing_message(std::move(m.message), m.salt, m.hash);
    }
    forget_marks();
  }

  bool invariants_hold() const noexcept {
    bool marked = (oldest_ == 0 || contains(oldest_)) && (newest_ == 0 || contains(newest_)) &&
                  (oldest_ == 0) == (newest_ == 0) && (lost_.empty() || contains(*lost_.begin())) &&
                  (sacked_.empty() || contains(sacked_.ranges().begin()->first));
    return first_ != 0 && next_ - first_ == messages_.size() && lost_.size() <= messages_.size() &&
           (bytes_ == 0 || !messages_.empty()) && marked;
  }

 private:
  static constexpr transmission sacked = transmission::sacked;

  outgoing_message& get(std::uint64_t s) noexcept {
    assert(contains(s));
    return messages_[static_cast<std::size_t>(s - first_)];
  }
  /// Takes the message out of the list or the set in which it is, but for that of the sacked.
  outgoing_message& take_out(std::uint64_t s) noexcept {
    outgoing_message& m = get(s);
    if (m.status == transmission::in_transit) {
      (m.sent_before != 0 ? get(m.sent_before).sent_after : oldest_) = m.sent_after;
      (m.sent_after != 0 ? get(m.sent_after).sent_before : newest_) = m.sent_before;
      m.sent_before = m.sent_after = 0;
    } else if (m.status == transmission::lost) {
      lost_.erase(s);
    }
    return m;
  }

  void forget_marks() noexcept {
    oldest_ = newest_ = 0;
    lost_.clear();
    sacked_.clear();
  }

  std::deque<outgoing_message> messages_;
  std::uint64_t first_ = 1;
  std::uint64_t next_ = 1;
  stream_hash before_;  ///< of the stream, before `first_`
  std::size_t bytes_ = 0;
  std::uint64_t oldest_ = 0;  ///< the ends of the list of those in transit
  std::uint64_t newest_ = 0;
  sequence_set sacked_;
  std::set<std::uint64_t> lost_;
};

}  // namespace ilm::inline v0::protocol
