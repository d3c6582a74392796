#pragma once

#include <ilm/protocol/time.hpp>
#include <ilm/stored.hpp>

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <utility>

namespace ilm::inline v0::protocol {

/// A message of the outbox that is in memory, and how it was sent last.
struct outgoing_message {
  outgoing_message(payload p, std::uint64_t salt_, const stream_hash& hash_)
      : message(std::move(p)), salt(salt_), hash(hash_) {}

  std::size_t size() const noexcept { return message.size(); }

  payload message;
  std::uint64_t salt;
  stream_hash hash;  ///< of the stream, up to it
  timestamp sent_at{};
  std::uint64_t frame = 0;  ///< the number of the frame that carried it last
  std::uint8_t transmissions = 0;
  bool sacked = false;  ///< the peer has it out of order
  bool lost = false;    ///< to be sent again
};

/// The run of the outbox that is in memory: contiguous sequences, `first()` to `next() - 1`.
class outbox_cache {
 public:
  std::uint64_t first() const noexcept { return first_; }
  std::uint64_t next() const noexcept { return next_; }
  std::size_t size() const noexcept { return messages_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }
  bool contains(std::uint64_t s) const noexcept { return s >= first_ && s < next_; }

  outgoing_message& at(std::uint64_t s) noexcept {
    assert(contains(s));
    return messages_[static_cast<std::size_t>(s - first_)];
  }
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
  std::size_t lost() const noexcept { return lost_; }
  void mark_lost(std::uint64_t s) noexcept {
    if (!std::exchange(at(s).lost, true)) ++lost_;
  }
  /// The message was sent again, or arrived after all.
  void clear_lost(std::uint64_t s) noexcept {
    if (std::exchange(at(s).lost, false)) --lost_;
  }

  /// Forgets the first message.
  void pop() noexcept {
    assert(!messages_.empty());
    const outgoing_message& gone = messages_.front();
    if (gone.lost) --lost_;
    bytes_ -= gone.size();
    before_ = gone.hash;
    messages_.pop_front();
    ++first_;
  }
  /// Forgets all, and goes on at `restart`; `before` is the hash of the stream before that.
  void clear(std::uint64_t restart, const stream_hash& before) noexcept {
    assert(restart != 0);
    messages_.clear();
    bytes_ = lost_ = 0;
    first_ = next_ = restart;
    before_ = before;
  }
  /// Forgets how the messages were sent.
  void reset_transmissions() noexcept {
    for (outgoing_message& m : messages_) {
      m = outgoing_message(std::move(m.message), m.salt, m.hash);
    }
    lost_ = 0;
  }

  bool invariants_hold() const noexcept {
    return first_ != 0 && next_ - first_ == messages_.size() && lost_ <= messages_.size() &&
           (bytes_ == 0 || !messages_.empty());
  }

 private:
  std::deque<outgoing_message> messages_;
  std::uint64_t first_ = 1;
  std::uint64_t next_ = 1;
  stream_hash before_;  ///< of the stream, before `first_`
  std::size_t bytes_ = 0;
  std::size_t lost_ = 0;  ///< how many are lost
};

}  // namespace ilm::inline v0::protocol
