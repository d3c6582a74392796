#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/interface.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/message.hpp>

#include <asio/awaitable.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// A store in a SQLite file, by write-ahead log, with a thread of its own: one transaction a batch,
/// each message a row with a checksum that is verified when it is read.
///
/// A completed commit at `Level` survives: `media`, a power cut (the log is synced at each
/// commit); `os`, the end of the process, kill -9 included, but perhaps not a power cut, after
/// which the store may be an older one, and ILM tells both sides so.
///
/// Beside `file` lie SQLite's `-wal` and `-shm`, and `-last`, a record of the newest commit; all
/// are made with mode 0600. One backend at a time has the store, whatever name it opens it by.
/// Other connections may read it meanwhile. A file that does not exist, or is empty, becomes a new
/// store. Erased space is given back while there is nothing else to do, but for some 4 MiB; not so
/// in a database of the application's, whose space is its own business.
///
/// Errors are of sqlite_category(), with SQLite's extended result codes or sqlite_error, or
/// error::store_in_use and error::store_corrupt; their texts name the file. A commit that fails
/// changes nothing; if it fails because the disk could not be synced or a file went away meanwhile,
/// and the process ends before the store works again, it may turn out to be stored nevertheless.
/// Sizes: a message up to 1 GB less 1 KB, 8,388,607 peers.
template <class PeerId = std::string, durability Level = durability::media>
class sqlite_backend {
  static_assert(Level != durability::process, "a file outlives the process: say os or media");

 public:
  static constexpr durability durable_to = Level;

  /// Opens nothing yet. Throws std::system_error (error::invalid_options) with a text that says
  /// which option is wrong.
  explicit sqlite_backend(std::filesystem::path file, sqlite_options o = {})
      : store_(detail::make_sqlite_store(std::move(file), std::move(o), Level)) {}

  asio::awaitable<store_state<PeerId>> open() {
    store_state<PeerId> state;
    detail::encoded_store::peer_visitor add_peer = [&state](std::span<const std::byte> peer,
                                                            const cursors& c) {
      state.peers.emplace_back(codec<PeerId>::decode(peer), c);
    };
    detail::encoded_owner owner = co_await store_->open(add_peer);
    state.local = owner.local;
    if (!owner.local_id.empty()) state.local_id = codec<PeerId>::decode(owner.local_id.view());
    co_return state;
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) {
    detail::encoded_batch encoded(change.new_incarnation);
    if (change.new_local_id) encoded.new_local_id = encode(*change.new_local_id);
    encoded.changes.reserve(change.changes.size());
    for (const peer_change<PeerId>& c : change.changes) {
      encoded.changes.emplace_back(encode(c.peer), c.next, c.outbox, c.inbox);
    }
    for (const PeerId& peer : change.forgotten) encoded.forgotten.push_back(encode(peer));
    return store_->commit(std::move(encoded));
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    return store_->read(which, encode(peer), from, limit);
  }

  asio::awaitable<void> close() { return store_->close(); }

 private:
  static std::vector<std::byte> encode(const PeerId& peer) {
    std::vector<std::byte> encoded;
    codec<PeerId>::encode(peer, encoded);
    return encoded;
  }

  std::unique_ptr<detail::encoded_store> store_;
};

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/backends/sqlite/threaded_store.hpp>
#endif
