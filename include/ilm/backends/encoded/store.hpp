#pragma once

#include <ilm/backend.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

// A store for encoded peer ids: what is behind the backends that keep bytes.

namespace ilm::inline v0::detail {

/// A peer_change whose peer is encoded. The rest refers to the batch that it was made of.
struct encoded_change {
  encoded_change(std::vector<std::byte> peer_, const cursors& next_,
                 std::span<const stored_message> outbox_, std::span<const stored_message> inbox_)
      : peer(std::move(peer_)), next(&next_), outbox(outbox_), inbox(inbox_) {}

  std::vector<std::byte> peer;
  const cursors* next;
  std::span<const stored_message> outbox;
  std::span<const stored_message> inbox;
};

class effect_list;

/// A batch whose peers are encoded.
struct encoded_batch {
  explicit encoded_batch(std::optional<incarnation> created) : new_incarnation(created) {}

  std::optional<incarnation> new_incarnation;
  std::vector<std::byte> new_local_id;  ///< empty: none
  std::vector<encoded_change> changes;
  std::vector<std::vector<std::byte>> forgotten;
  effect_list* effects = nullptr;  ///< of the type of transactions that the store lends; or none
};

/// Whose store it is.
struct encoded_owner {
  incarnation local;
  bytes local_id;  ///< empty: none
};

/// A backend for encoded ids; see the concept ilm::backend.
class encoded_store {
 public:
  /// Called for each peer, perhaps on a thread of the store's, until `open` completes. A throw
  /// fails it.
  using peer_visitor = std::function<void(std::span<const std::byte> peer, const cursors&)>;

  virtual ~encoded_store() = default;
  virtual asio::awaitable<encoded_owner> open(const peer_visitor& add_peer) = 0;
  virtual asio::awaitable<void> commit(encoded_batch change) = 0;
  virtual asio::awaitable<std::vector<stored_message>> read(queue which,
                                                            std::vector<std::byte> peer,
                                                            std::uint64_t from,
                                                            page_limit limit) = 0;
  virtual asio::awaitable<void> close() = 0;
};

}  // namespace ilm::inline v0::detail
