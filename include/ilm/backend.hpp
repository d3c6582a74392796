#pragma once

#include <ilm/detail/co_await.hpp>
#include <ilm/message.hpp>
#include <ilm/protocol/crc32c.hpp>

#include <asio/awaitable.hpp>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// The checksum of frames, for a store to guard its records with.
using protocol::crc32c;

/// The worst failure that a completed commit survives.
enum class durability : std::uint8_t {
  process,  ///< the end of the messenger, as long as the store's memory lives
  os,       ///< the end of the process, kill -9 included
  media,    ///< a crash of the machine, a power cut
};

/// The part of a batch that concerns one peer.
template <class PeerId>
struct peer_change {
  peer_change() = default;
  peer_change(PeerId peer_, const cursors& next_) : peer(std::move(peer_)), next(next_) {}

  PeerId peer{};
  /// Replaces the stored cursors. Erase every outbox message whose index is below
  /// `next.outbox.first` and every inbox message whose index is below `next.inbox.first`.
  cursors next;
  /// Appended, in order; indices follow the last one stored, or `next` says why not.
  std::vector<stored_message> outbox;
  std::vector<stored_message> inbox;
};

/// One atomic change of a store.
template <class PeerId>
struct batch {
  batch() = default;

  /// Set in the first batch of a new store, and then only.
  std::optional<incarnation> new_incarnation;
  /// The messenger's own id. Set beside `new_incarnation`, and then only.
  std::optional<PeerId> new_local_id;
  /// At most one entry a peer.
  std::vector<peer_change<PeerId>> changes;
  /// Erase all that is stored of these peers, cursors and messages: `open` gives them no more, and
  /// a later change of one begins as that of a new peer. None of them is in `changes`, and each is
  /// stored.
  std::vector<PeerId> forgotten;
};

/// The state of a store when it is opened: cursors, no messages.
template <class PeerId>
struct store_state {
  store_state() = default;

  /// None if the store is new. A store that exists and cannot be read is an error, never new.
  incarnation local;
  /// The id that the first batch had: a messenger with another does not open the store
  /// (error::store_of_another). None if the store is new. A backend may leave it out: no messenger
  /// is refused then.
  std::optional<PeerId> local_id;
  std::vector<std::pair<PeerId, cursors>> peers;
};

/// How much `read` may return. It returns at least one message if there is one.
struct page_limit {
  page_limit(std::size_t messages_, std::size_t bytes_) : messages(messages_), bytes(bytes_) {}

  std::size_t messages;
  std::size_t bytes;
};

namespace detail {

// The concept `backend`, one for each operation: a failure has a name.

template <class B>
concept backend_durability = requires {
  { B::durable_to } -> std::convertible_to<durability>;
};
template <class B, class PeerId>
concept backend_open = requires(B b) {
  { b.open() } -> std::same_as<asio::awaitable<store_state<PeerId>>>;
};
template <class B, class PeerId>
concept backend_commit = requires(B b, const batch<PeerId>& change) {
  { b.commit(change) } -> std::same_as<asio::awaitable<void>>;
};
template <class B, class PeerId>
concept backend_read = requires(B b, queue which, const PeerId& peer, std::uint64_t from,
                                page_limit limit) {
  {
    b.read(which, peer, from, limit)
    } -> std::same_as<asio::awaitable<std::vector<stored_message>>>;
};
template <class B>
concept backend_close = requires(B b) {
  { b.close() } -> std::same_as<asio::awaitable<void>>;
};

}  // namespace detail

/// A durable log with one atomic write.
///
/// | expression                         | result                              |
/// |------------------------------------|-------------------------------------|
/// | `B::durable_to`                    | `durability`, constant              |
/// | `b.open()`                         | `awaitable<store_state<PeerId>>`    |
/// | `b.commit(batch)`                  | `awaitable<void>`                   |
/// | `b.read(which, peer, from, limit)` | `awaitable<vector<stored_message>>` |
/// | `b.close()`                        | `awaitable<void>`                   |
///
/// `durable_to`: the worst failure that a completed commit survives.
///
/// `open`: Takes the store for this object alone. Throws std::system_error: `error::store_in_use`
/// if another has it, or the store's own error. Called again after it failed. Costs time by peers,
/// not by messages.
///
/// `commit`: All of `batch` is durable when it completes; if it throws, none is, now or later. At
/// most one commit runs at a time. `batch` lives until it completes.
///
/// `read`: The messages with index `from`, `from + 1` and so on, up to `limit`; empty if there is
/// none. May run beside a commit: it then sees the store before or after it. A message that fails
/// its check ends the page; if it is the first, throws error::store_corrupt.
///
/// `close`: Gives the store free.
///
/// A backend is a movable handle: the messenger owns one, and destroying it gives the store free as
/// `close` does, so that a successor can open it. The coroutines run on the messenger's strand; one
/// that must block moves to a thread of its own and back.
template <class B, class PeerId>
concept backend = std::move_constructible<B> && detail::backend_durability<B> &&
    detail::backend_open<B, PeerId> && detail::backend_commit<B, PeerId> &&
    detail::backend_read<B, PeerId> && detail::backend_close<B>;

}  // namespace ilm::inline v0
