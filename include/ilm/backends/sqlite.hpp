#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/store.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/worker.hpp>
#include <ilm/error.hpp>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

/// A store in a SQLite file, by write-ahead log, with a thread of its own: one transaction a batch,
/// each message a row with a checksum that is verified when it is read.
///
/// `Level` is what a completed commit survives: `media`, a power cut (the log is synced at each
/// commit); `os`, the end of the process, kill -9 included, but perhaps not a power cut, after
/// which the store may be an older one, and ILM tells both sides so.
///
/// Beside `file` lie SQLite's `-wal` and `-shm`, and `-lock`, an empty file by which one backend at
/// a time has the store. Other connections may read it meanwhile. A file that does not exist, or is
/// empty, becomes a new store. Erased space is given back while there is nothing else to do, but
/// for some 4 MiB; not so in a database of the application's, whose space is its own business.
///
/// Errors are of sqlite_category(), with SQLite's extended result codes or sqlite_error, or
/// error::store_in_use and error::store_corrupt. A commit that fails changes nothing; if it fails
/// because the disk could not be synced, and the process ends before the store works again, it may
/// turn out to be stored nevertheless. Sizes: a message up to 1 GB less 1 KB, 8,388,607 peers.
template <class PeerId = std::string, durability Level = durability::media>
class sqlite_backend {
  static_assert(Level != durability::process, "a file outlives the process: say os or media");

 public:
  static constexpr durability durable_to = Level;

  /// Opens nothing yet. Throws std::system_error (error::invalid_options) with a text that says
  /// what is wrong.
  explicit sqlite_backend(std::filesystem::path file, sqlite_options o = {})
      : inner_(std::make_unique<inner>(std::move(file), std::move(o))) {}

  asio::awaitable<store_state<PeerId>> open() {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    inner* i = inner_.get();
    if (!i->thread) i->start(executor);
    auto work = [i] { return i->open(); };
    co_return co_await i->thread->run(executor, work);
  }

  asio::awaitable<void> commit(const batch<PeerId>& change) {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    inner* i = opened();
    const batch<PeerId>* what = &change;
    auto work = [i, what] { i->commit(*what); };
    co_await i->thread->run(executor, work);
  }

  asio::awaitable<std::vector<stored_message>> read(box which, const PeerId& peer,
                                                    std::uint64_t from, page_limit limit) {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    inner* i = opened();
    const PeerId* whose = &peer;
    auto work = [=] { return i->opened().read(which, name_of(*whose), from, limit); };
    co_return co_await i->thread->run(executor, work);
  }

  asio::awaitable<void> close() {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    inner* i = inner_.get();
    if (!i->thread) co_return;
    auto work = [i] { i->store.reset(); };
    co_await i->thread->run(executor, work);
  }

 private:
  struct inner {
    inner(std::filesystem::path f, sqlite_options o) : file(std::move(f)), options(std::move(o)) {
      if (std::string wrong = contradiction(options); !wrong.empty()) {
        throw std::system_error(make_error_code(error::invalid_options), wrong);
      }
      if (file.empty() || file == ":memory:") {
        throw std::system_error(make_error_code(error::invalid_options),
                                "a sqlite_backend needs the name of a file");
      }
    }
    ~inner() {
      thread.reset();
      if (store) store->leave_log();
    }

    void start(const asio::any_io_executor& executor) {
      auto idle = [this] { return tidy(); };
      thread = std::make_unique<detail::worker>(executor, idle);
    }

    store_state<PeerId> open() {
      store.reset();
      if (options.vfs.empty()) check_path();
      auto made = std::make_unique<detail::sqlite_store>(text_of(file), options, Level);
      store_state<PeerId> state;
      auto [local, peers] = made->load();
      state.local = local;
      for (const auto& [name, where] : peers) {
        state.peers.emplace_back(codec<PeerId>::decode(name.view()), where);
      }
      store = std::move(made);
      return state;
    }

    void commit(const batch<PeerId>& change) {
      detail::sqlite_store& to = opened();
      to.change([&] {
        if (change.minted) to.mint(*change.minted);
        for (const peer_change<PeerId>& c : change.changes) {
          to.put(name_of(c.peer), c.next, c.outbox, c.inbox);
        }
      });
    }

    detail::sqlite_store& opened() {
      if (!store) throw std::system_error(error::store_closed);
      return *store;
    }

    bool tidy() noexcept {
      try {
        return store && store->tidy();
      } catch (...) {
        return false;  // what matters will fail as well, and say so
      }
    }

    /// SQLite would say no more than that it cannot open the file.
    void check_path() const {
      std::error_code ignored;
      if (std::filesystem::is_directory(file, ignored)) {
        throw std::system_error(sqlite_error::is_a_directory);
      }
      std::filesystem::path parent = file.parent_path();
      if (!parent.empty() && !std::filesystem::is_directory(parent, ignored)) {
        throw std::system_error(sqlite_error::no_such_directory);
      }
    }

    std::filesystem::path file;
    sqlite_options options;
    std::unique_ptr<detail::sqlite_store> store;
    std::unique_ptr<detail::worker> thread;
  };

  static std::string text_of(const std::filesystem::path& file) {
    std::u8string text = file.u8string();
    return {text.begin(), text.end()};
  }

  static std::vector<std::byte> name_of(const PeerId& peer) {
    std::vector<std::byte> name;
    codec<PeerId>::encode(peer, name);
    return name;
  }

  static std::string contradiction(const sqlite_options& o) {
    const std::string& p = o.table_prefix;
    bool plain = p.find_first_not_of(
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789_") == std::string::npos;
    bool digit_first = !p.empty() && p[0] >= '0' && p[0] <= '9';
    if (!plain || digit_first || p.size() > 64) {
      return "table_prefix (" + p +
             ") must be 1 to 64 letters, digits and underscores, with no "
             "digit first";
    }
    if (p.starts_with("sqlite_")) return "table_prefix: SQLite keeps names with sqlite_ for itself";
    if (o.busy_timeout.count() < 0 || o.busy_timeout > std::chrono::hours(24)) {
      return "busy_timeout must be 0 to 24 hours";
    }
    if (o.checkpoint_pages == 0 || o.checkpoint_pages > 1'000'000) {
      return "checkpoint_pages must be 1 to 1,000,000; the log would grow for ever";
    }
    return {};
  }

  inner* opened() const {
    if (!inner_->thread) throw std::system_error(error::store_closed);
    return inner_.get();
  }

  std::unique_ptr<inner> inner_;
};

}  // namespace ilm
