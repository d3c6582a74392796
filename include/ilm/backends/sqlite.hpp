#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/backend.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/interface.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/transaction.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/effects.hpp>

#include <filesystem>
#include <string>
#include <utility>

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
class sqlite_backend : public detail::encoded_backend<PeerId> {
  static_assert(Level != durability::process, "a file outlives the process: say os or media");

 public:
  static constexpr durability durable_to = Level;
  using transaction = sqlite_transaction;

  /// Opens nothing yet. Throws std::system_error (error::invalid_options) with a text that says
  /// which option is wrong.
  explicit sqlite_backend(std::filesystem::path file, sqlite_options o = {})
      : detail::encoded_backend<PeerId>(detail::make_sqlite_store(std::move(file), o, Level)),
        lends_(!o.table_prefix.empty()) {}

  /// In a database of the application's (sqlite_options::table_prefix), not in a file of ILM's own.
  bool lends_transactions() const noexcept { return lends_; }

  using detail::encoded_backend<PeerId>::commit;
  asio::awaitable<void> commit(const batch<PeerId>& change, effects<transaction>& with) {
    return this->commit(change, &with.untyped());
  }

 private:
  bool lends_;
};

ILM_INSTANCE(class sqlite_backend<std::string>);
ILM_INSTANCE(class sqlite_backend<std::string, durability::os>);

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/backends/sqlite/threaded_store.hpp>
#endif
