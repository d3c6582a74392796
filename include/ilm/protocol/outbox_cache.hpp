#pragma once

#include <ilm/protocol/memory_use.hpp>
#include <ilm/protocol/sequence_set.hpp>
#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <algorithm>
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
      : message(std::move(p)), bytes(message.size()), salt(salt_), hash(hash_) {}

  std::size_t size() const noexcept { return bytes; }
  bool sacked() const noexcept { return status == transmission::sacked; }
  bool lost() const noexcept { return status == transmission::lost; }

  payload message;    ///< empty while its contents are in the store alone
  std::size_t bytes;  ///< of its contents and attributes
  std::uint64_t salt;
  stream_hash hash;  ///< of the stream, up to it
  timestamp sent_at{};
  std::uint64_t frame = 0;        ///< the number of the frame that carried it last
  std::uint64_t sent_before = 0;  ///< its neighbours among those in transit; 0: none
  std::uint64_t sent_after = 0;
  std::uint8_t transmissions = 0;
  transmission status = transmission::unsent;
  bool loaded = true;  ///< whether its contents are in memory
};

static_assert(sizeof(outgoing_message) <= message_overhead);

/// The run of the outbox that is in memory: contiguous sequences, `first()` to `next() - 1`. The
/// contents of those that were sent may be in the store alone, where `release` left them.
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
    loaded_bytes_ += p.size();
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
    // It was read for this alone.
    if (s < released_to_) unload(s);
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
      if (first_ < released_to_) unload(first_);
      const outgoing_message& gone = take_out(first_);
      uncount(gone);
      before_ = gone.hash;
      messages_.pop_front();
      ++first_;
    }
    released_to_ = std::max(released_to_, first_);
    sacked_.remove_below(s);
  }
  /// Forgets all, and goes on at `restart`; `before` is the hash of the stream before that.
  void clear(std::uint64_t restart, const stream_hash& before) noexcept {
    assert(restart != 0);
    messages_.clear();
    loaded_.clear();
    bytes_ = loaded_bytes_ = 0;
    first_ = next_ = released_to_ = restart;
    before_ = before;
    forget_marks();
  }
  /// Forgets how the messages were sent, and those from the first one on that is not loaded.
  void reset_transmissions() noexcept {
    std::uint64_t s = first_;
    while (s < released_to_ && s < next_ && at(s).loaded) ++s;
    if (s < released_to_) erase_from(s);
    released_to_ = first_;
    loaded_.clear();
    for (outgoing_message& m : messages_) {
      m = outgoing_message(std::move(m.message), m.salt, m.hash);
    }
    forget_marks();
  }

  // Memory.

  /// The bytes that the messages take, and of these, those that `release` frees.
  std::size_t held() const noexcept { return loaded_bytes_ + messages_.size() * message_overhead; }
  std::size_t releasable(std::uint64_t kept, std::uint64_t unsent) const noexcept {
    std::size_t stays = contains(kept) && at(kept).loaded ? at(kept).size() : 0;
    std::uint64_t end = std::max(unsent, contains(kept) ? kept + 1 : unsent);
    return loaded_bytes_ - stays + static_cast<std::size_t>(next_ - end) * message_overhead;
  }
  /// Lets go of the contents of all messages but `kept`, and of those from `unsent` on altogether:
  /// they were not sent.
  void release(std::uint64_t kept, std::uint64_t unsent) {
    assert(first_ <= unsent && unsent <= next_);
    erase_from(std::max(unsent, contains(kept) ? kept + 1 : unsent));
    bool keeps = kept < unsent && contains(kept) && at(kept).loaded;
    while (!loaded_.empty() && *loaded_.rbegin() > kept) unload(*loaded_.rbegin());
    while (!loaded_.empty() && *loaded_.begin() < kept) unload(*loaded_.begin());
    for (; released_to_ < unsent; ++released_to_) {
      if (released_to_ != kept) unload(released_to_);
    }
    if (keeps) loaded_.insert(kept);
    assert(releasable(kept, unsent) == 0);
  }
  /// The contents of a lost message whose contents are in the store alone.
  void load(std::uint64_t s, payload p) {
    assert(at(s).lost() && !at(s).loaded && p.size() == at(s).size());
    loaded_.insert(s);
    loaded_bytes_ += p.size();
    get(s).message = std::move(p);
    get(s).loaded = true;
  }

  bool invariants_hold() const noexcept {
    bool loaded =
        loaded_bytes_ <= bytes_ && first_ <= released_to_ && released_to_ <= next_ &&
        (loaded_.empty() || (first_ <= *loaded_.begin() && *loaded_.rbegin() < released_to_));
    bool marked = (oldest_ == 0 || contains(oldest_)) && (newest_ == 0 || contains(newest_)) &&
                  (oldest_ == 0) == (newest_ == 0) && (lost_.empty() || contains(*lost_.begin())) &&
                  (sacked_.empty() || contains(sacked_.ranges().begin()->first));
    return first_ != 0 && next_ - first_ == messages_.size() && lost_.size() <= messages_.size() &&
           (bytes_ == 0 || !messages_.empty()) && marked && loaded;
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

  void unload(std::uint64_t s) noexcept {
    loaded_.erase(s);
    outgoing_message& m = get(s);
    if (!std::exchange(m.loaded, false)) return;
    loaded_bytes_ -= m.size();
    m.message = payload();
  }

  void uncount(const outgoing_message& gone) noexcept {
    bytes_ -= gone.size();
    if (gone.loaded) loaded_bytes_ -= gone.size();
  }

  /// Forgets the messages from `s` on. They are in no list but one that is forgotten as well.
  void erase_from(std::uint64_t s) noexcept {
    for (; next_ > s; --next_) {
      uncount(messages_.back());
      messages_.pop_back();
    }
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
  std::size_t loaded_bytes_ = 0;
  std::uint64_t released_to_ = 1;   ///< before it, contents are in the store alone
  std::set<std::uint64_t> loaded_;  ///< but for these
  std::uint64_t oldest_ = 0;        ///< the ends of the list of those in transit
  std::uint64_t newest_ = 0;
  sequence_set sacked_;
  std::set<std::uint64_t> lost_;
};

}  // namespace ilm::inline v0::protocol
