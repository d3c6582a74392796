#pragma once

// Shared by the tests of the SQLite store: a place for files, and a store driven by hand.

#include <ilm/backends/sqlite.hpp>
#include <ilm/ilm.hpp>

#include <asio/io_context.hpp>
#include <sqlite3.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace test {

/// A directory that goes with the object.
class temporary_directory {
 public:
  temporary_directory() {
    static std::atomic<unsigned> made = 0;
    std::string unique =
        std::to_string(reinterpret_cast<std::uintptr_t>(&made)) + "." +
        std::to_string(std::chrono::steady_clock::now().time_since_epoch().count()) + "." +
        std::to_string(made++);
    path_ = std::filesystem::temp_directory_path() / ("ilm_test." + unique);
    std::filesystem::create_directories(path_);
  }
  temporary_directory(const temporary_directory&) = delete;
  temporary_directory& operator=(const temporary_directory&) = delete;
  ~temporary_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

/// The bytes of a file; none if there is no such file.
inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

/// Runs SQL on a file, as anybody else could; the first column of the first row, as text.
inline std::string outsider(const std::filesystem::path& file, const std::string& sql) {
  sqlite3* database = nullptr;
  sqlite3_open(file.string().c_str(), &database);
  sqlite3_busy_timeout(database, 5000);
  std::optional<std::string> found;
  auto row = [](void* out, int, char** values, char**) {
    auto& first = *static_cast<std::optional<std::string>*>(out);
    if (!first) first = values[0] == nullptr ? "" : values[0];
    return 0;
  };
  char* error_text = nullptr;
  sqlite3_exec(database, sql.c_str(), row, &found, &error_text);
  std::string failed = error_text == nullptr ? "" : error_text;
  sqlite3_free(error_text);
  sqlite3_close(database);
  if (!failed.empty()) throw std::runtime_error(sql + ": " + failed);
  return found.value_or("");
}

/// A store called from outside any coroutine.
template <class Backend = ilm::sqlite_backend<>>
class hand_driven {
 public:
  using state = ilm::store_state<std::string>;

  explicit hand_driven(Backend b) : backend_(std::move(b)) {}
  explicit hand_driven(const std::filesystem::path& file, ilm::sqlite_options o = {})
      : backend_(Backend(file, std::move(o))) {}

  state open() { return run(backend_->open()); }
  void commit(const ilm::batch<std::string>& b) { run(backend_->commit(b)); }
  std::vector<ilm::stored_message> read(ilm::queue which, const std::string& peer,
                                        std::uint64_t from, std::size_t messages = 1000,
                                        std::size_t bytes = 1 << 20) {
    return run(backend_->read(which, peer, from, ilm::page_limit(messages, bytes)));
  }
  void close() { run(backend_->close()); }
  void crash() { backend_.reset(); }

  /// The error of an operation; none if it succeeds.
  template <class Operation>
  static std::error_code error_of(Operation operation) {
    try {
      operation();
    } catch (const std::system_error& e) {
      return e.code();
    }
    return {};
  }
  std::error_code open_error() {
    return error_of([this] { open(); });
  }
  std::error_code commit_error(const ilm::batch<std::string>& b) {
    return error_of([&] { commit(b); });
  }

 private:
  template <class T>
  T run(asio::awaitable<T> operation) {
    std::exception_ptr failed;
    std::optional<T> result;
    asio::co_spawn(context_, std::move(operation), [&](std::exception_ptr e, T value) {
      failed = e;
      result = std::move(value);
    });
    context_.restart();
    context_.run();
    if (failed) std::rethrow_exception(failed);
    return std::move(*result);
  }
  void run(asio::awaitable<void> operation) {
    std::exception_ptr failed;
    asio::co_spawn(context_, std::move(operation), [&](std::exception_ptr e) { failed = e; });
    context_.restart();
    context_.run();
    if (failed) std::rethrow_exception(failed);
  }

  asio::io_context context_;
  std::optional<Backend> backend_;
};

inline ilm::stored_message stored(std::uint64_t index, const std::string& text,
                                  std::uint64_t sequence = 0) {
  ilm::stream_hash hash{~index, index * 3};
  return {index, sequence != 0 ? sequence : index, ~std::uint64_t{0} - 7, hash, ilm::bytes(text)};
}

/// Appends `texts` to the outbox for a peer, after its end according to `c`.
inline ilm::batch<std::string> append(const std::string& peer, ilm::cursors& c,
                                      const std::vector<std::string>& texts) {
  ilm::batch<std::string> b;
  std::vector<ilm::stored_message> messages;
  for (const std::string& text : texts) messages.push_back(stored(c.outbox.next++, text));
  b.changes.emplace_back(peer, c);
  b.changes.back().outbox = std::move(messages);
  return b;
}

/// Erases the messages below `first` from the outbox for a peer.
inline ilm::batch<std::string> erase(const std::string& peer, ilm::cursors& c,
                                     std::uint64_t first) {
  ilm::batch<std::string> b;
  c.outbox.first = first;
  b.changes.emplace_back(peer, c);
  return b;
}

inline std::vector<std::string> texts_of(const std::vector<ilm::stored_message>& page) {
  std::vector<std::string> all;
  for (const ilm::stored_message& m : page) all.emplace_back(m.contents.text());
  return all;
}

}  // namespace test
