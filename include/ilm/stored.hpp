#pragma once

#include <ilm/bytes.hpp>
#include <ilm/protocol/bounds.hpp>

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <tuple>
#include <utility>

namespace ilm::inline v0 {

/// The identity of a store: 128 random bits, created with it. All zero means "none".
struct incarnation {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  explicit operator bool() const noexcept { return (high | low) != 0; }
  friend auto operator<=>(const incarnation&, const incarnation&) = default;
};

/// The running hash of a stream: over all its messages up to one of them. See
/// protocol/stream_hash.hpp.
struct stream_hash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  friend bool operator==(const stream_hash&, const stream_hash&) = default;
};

/// A place in the durable history of one side with one peer: how many there were before it, and 64
/// random bits, so that two histories that part never have a stamp in common. None: `count` is 0.
struct stamp {
  std::uint64_t count = 0;
  std::uint64_t random = 0;

  explicit operator bool() const noexcept { return count != 0; }
  friend bool operator==(const stamp&, const stamp&) = default;
};

/// The two queues that a store holds for each peer.
enum class queue : std::uint8_t { outbox, inbox };

/// One message as a backend stores it. An outbox is keyed by the sequence; an inbox by an index of
/// this side's, which goes on where a peer begins its stream anew.
struct stored_message {
  stored_message() = default;
  stored_message(std::uint64_t index_, std::uint64_t sequence_, std::uint64_t salt_,
                 const stream_hash& hash_, bytes contents_, bytes attributes_ = {})
      : index(index_),
        sequence(sequence_),
        salt(salt_),
        hash(hash_),
        contents(std::move(contents_)),
        attributes(std::move(attributes_)) {}

  std::size_t size() const noexcept { return contents.size() + attributes.size(); }

  std::uint64_t index = 0;
  std::uint64_t sequence = 0;
  /// Random bits of the commit that accepted it, in the first message of the commit; 0 in others.
  std::uint64_t salt = 0;
  /// The running hash of its stream, up to it.
  stream_hash hash;
  bytes contents;
  /// The encoded form of ilm::attributes; empty for most messages.
  bytes attributes;
};

/// A message without a place: the contents, and attributes in their encoded form, if any.
struct payload {
  payload() = default;
  payload(bytes contents_, bytes attributes_ = {})
      : contents(std::move(contents_)), attributes(std::move(attributes_)) {}

  std::size_t size() const noexcept { return contents.size() + attributes.size(); }

  bytes contents;
  bytes attributes;
};

/// How a lineage began.
enum class lineage_origin : std::uint8_t {
  created,      ///< with the first store
  store_lost,   ///< the peer knew an earlier store of this side
  rolled_back,  ///< the store went back to an older state
};

/// The durable history of this side with one peer, and how far each of the two knows the other's.
struct lineage {
  /// The newest stamp of this side; no other is ever told to the peer. At most one is unconfirmed.
  stamp mark;
  /// `delivered` when the stamp was made, and the hash of the peer's stream there.
  std::uint64_t mark_delivered = 0;
  stream_hash mark_hash;
  /// The newest stamp of this side that the peer is known to have stored, with the same.
  stamp confirmed;
  std::uint64_t confirmed_delivered = 0;
  stream_hash confirmed_hash;
  /// The count of the stamp at which this lineage began, and why it did.
  std::uint64_t base = 0;
  lineage_origin origin = lineage_origin::created;
  /// Of the lineage before: the stamp of this side that the peer showed when it broke, and the
  /// newest one.
  stamp parted;
  stamp former;
  /// The newest stamp of the peer that is stored here; none before the first meeting.
  stamp seen;

  friend bool operator==(const lineage&, const lineage&) = default;
};

/// The outbox and the stream to the peer.
struct outbox_cursors {
  /// The name of the stream: the stamp at which it began.
  stamp stream;
  /// The first sequence that the peer has not confirmed as delivered; those below are erased.
  std::uint64_t first = 1;
  /// The sequence that the next message gets.
  std::uint64_t next = 1;
  /// The highest `received` that the peer told in its present lineage, of this stream.
  std::uint64_t acknowledged = 0;
  /// The hashes of the stream at `first - 1` and at `next - 1`.
  stream_hash erased_hash;
  stream_hash last_hash;

  friend bool operator==(const outbox_cursors&, const outbox_cursors&) = default;
};

/// The inbox and the stream from the peer.
struct inbox_cursors {
  /// The name of the stream; none before the first meeting.
  stamp stream;
  /// The index of the first message that the application has not consumed; those below are erased.
  std::uint64_t first = 1;
  /// The index that the next message gets.
  std::uint64_t next = 1;
  /// The index at which the stream begins.
  std::uint64_t start = 1;
  /// A message's sequence minus its index, modulo 2^64, in this stream.
  std::uint64_t offset = 0;
  /// The hashes of the stream at `received` and at `delivered`.
  stream_hash received_hash;
  stream_hash delivered_hash;

  /// The cumulative cursors, as sequences.
  std::uint64_t received() const noexcept { return next - 1 + offset; }
  std::uint64_t delivered() const noexcept { return std::max(first, start) - 1 + offset; }

  friend bool operator==(const inbox_cursors&, const inbox_cursors&) = default;
};

/// Where this side stands with one peer: all that a store keeps for the peer besides messages.
/// A backend stores it as it is (see `encode` and `decode`) and need read nothing in it but
/// `outbox.first` and `inbox.first`, below which it erases.
struct cursors {
  lineage history;
  outbox_cursors outbox;
  inbox_cursors inbox;

  /// Whether the peer was met.
  bool met() const noexcept { return bool(history.seen); }

  /// Whether the cursors fit each other. Those of a messenger always do; a messenger does not open
  /// a store that gives others (error::store_corrupt).
  bool consistent() const noexcept {
    return history_is_consistent() && outbox_is_consistent() && inbox_is_consistent();
  }

  friend bool operator==(const cursors&, const cursors&) = default;

  /// All numbers in them, in the order of the members.
  using numbers = std::array<std::uint64_t, 37>;
  numbers to_numbers() const noexcept {
    numbers all{};
    std::size_t at = 0;
    visit(*this, [&](const auto& value) { all[at++] = static_cast<std::uint64_t>(value); });
    return all;
  }
  static cursors from_numbers(const numbers& all) noexcept {
    std::size_t at = 0;
    cursors c;
    visit(c, [&]<class T>(T& value) { value = static_cast<T>(all[at++]); });
    return c;
  }

  static constexpr std::size_t encoded_size = std::tuple_size_v<numbers> * 8;
  using encoded = std::array<std::byte, encoded_size>;

  /// 64-bit numbers, big-endian, in the order of the members.
  encoded encode() const noexcept {
    encoded out{};
    std::size_t at = 0;
    auto put = [&](std::uint64_t value) {
      for (int shift = 56; shift >= 0; shift -= 8) {
        out[at++] = static_cast<std::byte>(value >> shift);
      }
    };
    visit(*this, [&](const auto& value) { put(static_cast<std::uint64_t>(value)); });
    return out;
  }

  static cursors decode(std::span<const std::byte, encoded_size> in) noexcept {
    std::size_t at = 0;
    cursors c;
    visit(c, [&]<class T>(T& value) {
      std::uint64_t number = 0;
      for (int i = 0; i < 8; ++i) number = number << 8 | std::to_integer<std::uint64_t>(in[at++]);
      value = static_cast<T>(number);
    });
    return c;
  }

 private:
  template <class Cursors, class Visitor>
  static void visit(Cursors& c, const Visitor& each) {
    auto visit_stamp = [&](auto& s) { each(s.count), each(s.random); };
    auto visit_hash = [&](auto& h) { each(h.high), each(h.low); };
    visit_stamp(c.history.mark);
    each(c.history.mark_delivered);
    visit_hash(c.history.mark_hash);
    visit_stamp(c.history.confirmed);
    each(c.history.confirmed_delivered);
    visit_hash(c.history.confirmed_hash);
    each(c.history.base);
    each(c.history.origin);
    visit_stamp(c.history.parted);
    visit_stamp(c.history.former);
    visit_stamp(c.history.seen);
    visit_stamp(c.outbox.stream);
    each(c.outbox.first);
    each(c.outbox.next);
    each(c.outbox.acknowledged);
    visit_hash(c.outbox.erased_hash);
    visit_hash(c.outbox.last_hash);
    visit_stamp(c.inbox.stream);
    each(c.inbox.first);
    each(c.inbox.next);
    each(c.inbox.start);
    each(c.inbox.offset);
    visit_hash(c.inbox.received_hash);
    visit_hash(c.inbox.delivered_hash);
  }

  bool history_is_consistent() const noexcept {
    return history.mark && history.mark.count <= protocol::maximum_count &&
           history.seen.count <= protocol::maximum_count && 1 <= history.base &&
           history.base <= history.mark.count && history.confirmed.count <= history.mark.count &&
           outbox.stream && outbox.stream.count <= history.mark.count &&
           history.origin <= lineage_origin::rolled_back && met() == bool(inbox.stream);
  }
  bool outbox_is_consistent() const noexcept {
    return 1 <= outbox.first && outbox.first <= outbox.next && outbox.acknowledged < outbox.next &&
           outbox.next <= protocol::maximum_sequence;
  }

  bool inbox_is_consistent() const noexcept {
    auto lies_inside = [this](std::uint64_t index) { return 1 <= index && index <= inbox.next; };
    return lies_inside(inbox.first) && lies_inside(inbox.start) &&
           inbox.start + inbox.offset != 0 && inbox.start - 1 + inbox.offset <= inbox.received() &&
           inbox.received() <= protocol::maximum_sequence &&
           history.mark_delivered <= inbox.received();
  }
};

}  // namespace ilm::inline v0
