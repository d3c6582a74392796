#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/detail/compiled.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

// A store in a SQLite file on encoded peer ids. sqlite_backend puts a user's type of peer id in
// front of it; threaded_store.hpp implements it.

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

/// A batch whose peers are encoded.
struct encoded_batch {
  explicit encoded_batch(std::optional<incarnation> created) : new_incarnation(created) {}

  std::optional<incarnation> new_incarnation;
  std::vector<std::byte> new_local_id;  ///< empty: none
  std::vector<encoded_change> changes;
  std::vector<std::vector<std::byte>> forgotten;
};

/// Whose store it is.
struct encoded_owner {
  incarnation local;
  bytes local_id;  ///< empty: none
};

/// See sqlite_backend.
class encoded_store {
 public:
  /// Called for each peer, on a thread of the store's, until `open` completes. A throw fails it.
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

/// Throws std::system_error: error::invalid_options.
ILM_INLINE std::unique_ptr<encoded_store> make_sqlite_store(std::filesystem::path file,
                                                            sqlite_options options,
                                                            durability level);

}  // namespace ilm::inline v0::detail
