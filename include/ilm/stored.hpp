#pragma once

#include <ilm/bytes.hpp>
#include <ilm/protocol/bounds.hpp>

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace ilm::inline v0 {

/// The identity of a durable history: 128 random bits, created with a store, and again when the
/// history turns out to have been rolled back. All zero means "none".
struct incarnation {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  explicit operator bool() const noexcept { return (high | low) != 0; }
  friend auto operator<=>(const incarnation&, const incarnation&) = default;
};

/// The two queues that a store holds for each peer.
enum class queue : std::uint8_t { outbox, inbox };

/// One message as a backend stores it. An outbox is keyed by the sequence; an inbox by an index of
/// this side's, which goes on where a peer that lost its store starts its sequence anew.
struct stored_message {
  stored_message() = default;
  stored_message(std::uint64_t index_, std::uint64_t sequence_, std::uint64_t epoch_,
                 bytes contents_, bytes attributes_ = {})
      : index(index_),
        sequence(sequence_),
        epoch(epoch_),
        contents(std::move(contents_)),
        attributes(std::move(attributes_)) {}

  std::size_t size() const noexcept { return contents.size() + attributes.size(); }

  std::uint64_t index = 0;
  std::uint64_t sequence = 0;
  /// Which start of the sending messenger accepted it: tells two histories apart that gave one
  /// number to two messages.
  std::uint64_t epoch = 0;
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

/// Where this side stands with one peer: all that a store keeps for the peer besides messages.
/// A backend stores it as it is (see `encode` and `decode`) and reads nothing in it but
/// `outbox_first` and `inbox_first`, below which it erases.
struct cursors {
  /// The incarnation that this side shows the peer.
  incarnation local;
  /// The peer's incarnation; none before the first meeting.
  incarnation peer;
  /// The incarnation that this one replaced, and the `received` of its stream, until the peer is
  /// known to have been told that it lost its store.
  incarnation former_peer;
  std::uint64_t former_received = 0;

  /// The first sequence that the peer has not confirmed as delivered; those below are erased.
  std::uint64_t outbox_first = 1;
  /// The sequence that the next message to the peer gets.
  std::uint64_t outbox_next = 1;
  /// The highest `received` that this incarnation of the peer ever acknowledged.
  std::uint64_t acknowledged = 0;
  /// The epoch of message `outbox_first - 1`.
  std::uint64_t erased_epoch = 0;

  /// The index of the first message that the application has not consumed; those below are erased.
  std::uint64_t inbox_first = 1;
  /// The index that the next message from the peer gets.
  std::uint64_t inbox_next = 1;
  /// The index at which the stream of the peer's present incarnation begins.
  std::uint64_t stream_start = 1;
  /// A message's sequence minus its index, modulo 2^64, in the peer's present stream.
  std::uint64_t stream_offset = 0;
  /// The epoch of the last message received, and of the last one delivered.
  std::uint64_t received_epoch = 0;
  std::uint64_t delivered_epoch = 0;

  /// `inbox_first` and `delivered_epoch` as the peer may know them. They may be behind: what the
  /// application took since the last session is a repetition if this store is an old copy. And they
  /// may be ahead, if it was found to be one: what the lost history had confirmed stays confirmed.
  std::uint64_t advertised_first = 1;
  std::uint64_t advertised_epoch = 0;
  /// 1 once the peer has shown that its store has `local`, else 0.
  std::uint64_t peer_confirmed_incarnation = 0;

  /// The cumulative cursor `received`, as a sequence.
  std::uint64_t received() const noexcept { return inbox_next - 1 + stream_offset; }
  /// The cumulative cursor `delivered`, as a sequence.
  std::uint64_t delivered() const noexcept {
    return std::max(inbox_first, stream_start) - 1 + stream_offset;
  }

  /// Whether the cursors fit each other. Those of a messenger always do; a messenger does not open
  /// a store that gives others (error::store_corrupt).
  bool consistent() const noexcept {
    return local && outbox_is_consistent() && inbox_is_consistent() &&
           peer_confirmed_incarnation <= (peer ? 1U : 0U) && (former_peer || former_received == 0);
  }

  friend bool operator==(const cursors&, const cursors&) = default;

  static constexpr std::size_t encoded_size = 20 * 8;
  using encoded = std::array<std::byte, encoded_size>;

  /// Twenty 64-bit numbers, big-endian, in the order of the members.
  encoded encode() const noexcept {
    encoded out{};
    std::size_t at = 0;
    for (std::uint64_t value :
         {local.high,       local.low,        peer.high,        peer.low,
          former_peer.high, former_peer.low,  former_received,  outbox_first,
          outbox_next,      acknowledged,     erased_epoch,     inbox_first,
          inbox_next,       stream_start,     stream_offset,    received_epoch,
          delivered_epoch,  advertised_first, advertised_epoch, peer_confirmed_incarnation}) {
      for (int shift = 56; shift >= 0; shift -= 8) {
        out[at++] = static_cast<std::byte>(value >> shift);
      }
    }
    return out;
  }

  static cursors decode(std::span<const std::byte, encoded_size> in) noexcept {
    std::size_t at = 0;
    auto next = [&] {
      std::uint64_t value = 0;
      for (int i = 0; i < 8; ++i) value = value << 8 | std::to_integer<std::uint64_t>(in[at++]);
      return value;
    };
    cursors c;
    for (std::uint64_t* field : {&c.local.high,       &c.local.low,
                                 &c.peer.high,        &c.peer.low,
                                 &c.former_peer.high, &c.former_peer.low,
                                 &c.former_received,  &c.outbox_first,
                                 &c.outbox_next,      &c.acknowledged,
                                 &c.erased_epoch,     &c.inbox_first,
                                 &c.inbox_next,       &c.stream_start,
                                 &c.stream_offset,    &c.received_epoch,
                                 &c.delivered_epoch,  &c.advertised_first,
                                 &c.advertised_epoch, &c.peer_confirmed_incarnation}) {
      *field = next();
    }
    return c;
  }

 private:
  bool outbox_is_consistent() const noexcept {
    return 1 <= outbox_first && outbox_first <= outbox_next && acknowledged < outbox_next &&
           outbox_next <= protocol::maximum_sequence;
  }

  /// A peer may number its messages up to the end of the sequences, and beyond it by those that one
  /// frame holds: `received` is not to wrap around, and that is all.
  bool inbox_is_consistent() const noexcept {
    auto lies_inside = [this](std::uint64_t index) { return 1 <= index && index <= inbox_next; };
    std::uint64_t first_sequence = stream_start + stream_offset;
    return lies_inside(inbox_first) && lies_inside(stream_start) && lies_inside(advertised_first) &&
           1 <= first_sequence && first_sequence - 1 <= received();
  }
};

}  // namespace ilm::inline v0
