#pragma once

#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/interface.hpp>
#include <ilm/backends/sqlite/store.hpp>
#include <ilm/backends/sqlite/transaction_calls.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/detail/worker.hpp>
#include <ilm/error.hpp>

#include <cassert>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// Runs a sqlite_store on a thread of its own. Only `start` and the destructor touch the members
/// outside of that thread, while no job is there.
class threaded_sqlite_store final : public encoded_store {
 public:
  threaded_sqlite_store(std::filesystem::path file, sqlite_options o, durability level)
      : file_(std::move(file)), options_(in_lower_case(std::move(o))), level_(level) {
    std::string wrong = validation_error(options_);
    if (wrong.empty() && (file_.empty() || file_ == ":memory:")) {
      wrong = "a sqlite_backend needs the name of a file";
    }
    if (!wrong.empty()) throw std::system_error(make_error_code(error::invalid_options), wrong);
  }
  threaded_sqlite_store(const threaded_sqlite_store&) = delete;
  threaded_sqlite_store& operator=(const threaded_sqlite_store&) = delete;

  ~threaded_sqlite_store() override {
    thread_.reset();
    if (store_) store_->skip_checkpoint_on_close();
  }

  asio::awaitable<encoded_owner> open(const peer_visitor& add_peer) override {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (!thread_) start(executor);
    const peer_visitor* visitor = &add_peer;
    auto work = [this, visitor] { return named([&] { return open_store(*visitor); }); };
    co_return co_await thread_->run(executor, work);
  }

  asio::awaitable<void> commit(encoded_batch change) override {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    require_thread();
    const encoded_batch* batch = &change;
    auto work = [this, batch] { named([&] { commit_batch(*batch); }); };
    co_await thread_->run(executor, work);
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, std::vector<std::byte> peer,
                                                    std::uint64_t from, page_limit limit) override {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    require_thread();
    const std::vector<std::byte>* name = &peer;
    auto work = [this, which, name, from, limit] {
      return named([&] { return opened().read(which, *name, from, limit); });
    };
    co_return co_await thread_->run(executor, work);
  }

  asio::awaitable<void> close() override {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    if (!thread_) co_return;
    auto work = [this] { store_.reset(); };
    co_await thread_->run(executor, work);
  }

 private:
  /// SQLite takes names that differ in case for the same.
  static sqlite_options in_lower_case(sqlite_options o) {
    for (char& c : o.table_prefix) {
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return o;
  }

  void start(const asio::any_io_executor& executor) {
    assert(!store_);
    auto idle = [this] { return reclaim_space(); };
    thread_ = std::make_unique<worker>(executor, idle);
  }

  void require_thread() const {
    if (!thread_) throw std::system_error(error::store_closed);
  }

  // On the thread.

  encoded_owner open_store(const peer_visitor& add_peer) {
    store_.reset();
    if (options_.vfs.empty()) check_path();
    auto made = std::make_unique<sqlite_store>(name_of_file(), options_, level_);
    sqlite_store::state found = made->load();
    for (const auto& [name, where] : found.peers) add_peer(name.view(), where);
    store_ = std::move(made);
    return {found.local, std::move(found.local_id)};
  }

  void commit_batch(const encoded_batch& batch) {
    sqlite_store& s = opened();
    s.change([&] {
      if (batch.new_incarnation) s.set_identity(*batch.new_incarnation, batch.new_local_id);
      for (const encoded_change& c : batch.changes) s.put(c.peer, *c.next, c.outbox, c.inbox);
      for (const std::vector<std::byte>& peer : batch.forgotten) s.forget(peer);
      if (batch.effects == nullptr) return;
      effects<sqlite_transaction> all(*batch.effects);
      s.apply(all);
    });
  }

  std::string name_of_file() const {
    std::u8string path = file_.u8string();
    return {path.begin(), path.end()};
  }

  /// Runs `work`; names the file in a failure that does not.
  template <class Work>
  auto named(Work work) const -> std::invoke_result_t<Work&> {
    try {
      return work();
    } catch (const std::system_error& e) {
      std::string name = name_of_file();
      if (e.code().category() == sqlite_category()) name = failed_file(name, e.code().value());
      bool has_name = std::string_view(e.what()).find(name) != std::string_view::npos;
      if (has_name) throw;
      throw_about(name + without_message(e), e.code());
    }
  }

  /// The text of the exception besides its error's message.
  static std::string without_message(const std::system_error& e) {
    std::string_view what = e.what();
    std::string message = ": " + e.code().message();
    if (!what.ends_with(message)) return {};
    what.remove_suffix(message.size());
    return ": " + std::string(what);
  }

  sqlite_store& opened() const {
    if (!store_) throw std::system_error(error::store_closed);
    return *store_;
  }

  bool reclaim_space() noexcept {
    try {
      return store_ && store_->reclaim_space();
    } catch (...) {
      return false;  // an operation that matters will fail as well, and report it
    }
  }

  /// SQLite would report no more than that it cannot open the file.
  void check_path() const {
    std::error_code ignored;
    if (std::filesystem::is_directory(file_, ignored)) {
      throw std::system_error(sqlite_error::is_a_directory);
    }
    std::filesystem::path parent = file_.parent_path();
    if (!parent.empty() && !std::filesystem::is_directory(parent, ignored)) {
      throw std::system_error(sqlite_error::no_such_directory);
    }
  }

  const std::filesystem::path file_;
  const sqlite_options options_;
  const durability level_;
  std::unique_ptr<sqlite_store> store_;
  std::unique_ptr<worker> thread_;
};

ILM_INLINE std::unique_ptr<encoded_store> make_sqlite_store(std::filesystem::path file,
                                                            sqlite_options options,
                                                            durability level) {
  return std::make_unique<threaded_sqlite_store>(std::move(file), std::move(options), level);
}

}  // namespace ilm::inline v0::detail
