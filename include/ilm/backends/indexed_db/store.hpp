#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/encoded/store.hpp>
#include <ilm/backends/indexed_db/connection.hpp>
#include <ilm/backends/indexed_db/error.hpp>
#include <ilm/backends/indexed_db/options.hpp>
#include <ilm/backends/indexed_db/rows.hpp>
#include <ilm/browser/script_call.hpp>
#include <ilm/detail/asio.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// An open store in a database of the browser's. It lives until the last of its operations is done,
/// and has the store until `close`.
class indexed_db_database {
 public:
  explicit indexed_db_database(std::string name) : name_(std::move(name)), connection_(name_) {}

  void close() noexcept { connection_.close(); }

  asio::awaitable<encoded_owner> open(std::chrono::milliseconds lock_wait,
                                      const encoded_store::peer_visitor& add_peer) {
    asio::any_io_executor executor = co_await asio::this_coro::executor;
    {
      script_call locking(executor);
      connection_.lock(locking, lock_wait);
      co_await locking.wait();
      check(locking);
    }
    owner_row created;
    created.seed = random_number();
    script_call loading(executor);
    connection_.connect(loading, created.encode());
    co_await loading.wait();
    check(loading);
    load(loading, add_peer);
    co_return encoded_owner{owner_.local, owner_.local_id};
  }

  asio::awaitable<void> commit(encoded_batch change) {
    for (bool again : {true, false}) {
      if (!connection_.is_connected()) co_await reconnect();
      owner_row next = next_owner(change);
      script_call call(co_await asio::this_coro::executor);
      std::vector<peer_record> after = start(call, change, next);
      co_await call.wait();
      // The browser may have closed the database after it had the change: the next look will tell.
      bool lost = bool(error_of(call)) && connection_.is_open() && !connection_.is_connected();
      if (lost) co_await reconnect(&next);
      if (!error_of(call) || (lost && row_ == next.encode())) {
        accept(change, std::move(after), next);
        co_return;
      }
      if (!lost || !again) check(call);
    }
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, std::vector<std::byte> name,
                                                    std::uint64_t from, page_limit limit) {
    std::vector<stored_message> page;
    auto known = peers_.find(text_of_name(name));
    if (known == peers_.end()) co_return page;
    const peer_record& peer = known->second;
    if (from < (which == queue::outbox ? peer.outbox_first : peer.inbox_first)) co_return page;
    std::uint64_t id = peer.id;
    if (!connection_.is_connected()) co_await reconnect();
    script_call call(co_await asio::this_coro::executor);
    connection_.read(call, which, key_of_message(id, from), key_of_message(id, maximum_index),
                     limit);
    co_await call.wait();
    check(call);
    for (std::size_t i = 0; i + 1 < call.size(); i += 2) {
      std::uint64_t index = from + i / 2;
      if (!std::ranges::equal(call.result(i), key_of_message(id, index))) break;
      auto m = decode_message(seed_, which, id, index, call.result(i + 1));
      if (!m && page.empty()) fail(error::store_corrupt, "a message fails its checksum");
      if (!m) break;
      page.push_back(*std::move(m));
    }
    co_return page;
  }

 private:
  static constexpr std::uint64_t maximum_index = std::numeric_limits<std::uint64_t>::max();

  struct peer_record {
    std::string name;
    std::uint64_t id = 0;
    std::uint64_t outbox_first = 1;
    std::uint64_t inbox_first = 1;
  };

  static std::uint64_t random_number() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }

  [[noreturn]] void fail(std::error_code code, const std::string& why) const {
    throw std::system_error(code, "IndexedDB database " + name_ + (why.empty() ? "" : ": " + why));
  }
  /// Throws if the call failed.
  void check(const script_call& call) const {
    std::error_code code = error_of(call);
    if (code) fail(code, call.error_text());
  }

  void load(const script_call& loaded, const encoded_store::peer_visitor& add_peer) {
    try {
      row_ = loaded.result(0);
      owner_ = owner_row::decode(row_);
      seed_ = checksum_seed(owner_.seed);
      for (std::size_t i = 1; i + 1 < loaded.size(); i += 2) {
        std::uint64_t id = from_big_endian(loaded.result(i));
        peer_row found = decode_peer_row(seed_, id, loaded.result(i + 1));
        peer_record r;
        r.name = found.name.text();
        r.id = id;
        r.outbox_first = found.current.outbox.first;
        r.inbox_first = found.current.inbox.first;
        if (!peers_.emplace(r.name, r).second) throw std::system_error(error::store_corrupt);
        next_id_ = std::max(next_id_, id + 1);
        add_peer(found.name.view(), found.current);
      }
    } catch (const std::system_error& e) {
      if (e.code() != error::store_corrupt) throw;
      fail(e.code(), "indexedDB.deleteDatabase makes room for a new one");
    }
  }

  /// Opens the database anew, which the browser has closed. It has to be as this store left it, or
  /// as `or_else` says.
  asio::awaitable<void> reconnect(const owner_row* or_else = nullptr) {
    if (!connection_.is_open()) throw std::system_error(error::store_closed);
    script_call call(co_await asio::this_coro::executor);
    connection_.connect(call, {});
    co_await call.wait();
    check(call);
    row_bytes found = call.result(0);
    if (found != row_ && (or_else == nullptr || found != or_else->encode())) {
      fail(indexed_db_error::taken_over, "");
    }
    row_ = std::move(found);
  }

  owner_row next_owner(const encoded_batch& change) const {
    owner_row next = owner_;
    ++next.commits;
    if (change.new_incarnation) {
      next.local = *change.new_incarnation;
      next.local_id = bytes(change.new_local_id);
    }
    return next;
  }

  /// One change of the database: all of it, or none where something throws. Gives the records as
  /// they will be.
  std::vector<peer_record> start(const script_call& call, const encoded_batch& change,
                                 const owner_row& next) const {
    connection_.begin(call, row_);
    try {
      std::vector<peer_record> after = write(call, change);
      connection_.put_owner(call, next.encode());
      return after;
    } catch (...) {
      connection_.abort(call);
      throw;
    }
  }

  std::vector<peer_record> write(const script_call& call, const encoded_batch& change) const {
    std::vector<peer_record> after;
    std::uint64_t added = 0;
    for (const encoded_change& c : change.changes) {
      auto known = peers_.find(text_of_name(c.peer));
      peer_record r;
      r.name = text_of_name(c.peer);
      if (known != peers_.end()) {
        r = known->second;
      } else {
        r.id = next_id_ + added++;
      }
      write_queue(call, queue::outbox, r.id, r.outbox_first, c.next->outbox.first, c.outbox);
      write_queue(call, queue::inbox, r.id, r.inbox_first, c.next->inbox.first, c.inbox);
      connection_.put_peer(call, r.id, encode_peer_row(seed_, r.id, c.peer, *c.next));
      r.outbox_first = c.next->outbox.first;
      r.inbox_first = c.next->inbox.first;
      after.push_back(std::move(r));
    }
    for (const std::vector<std::byte>& name : change.forgotten) forget(call, name);
    return after;
  }

  /// Erases the messages from `before` up to `first`, and appends those of the batch above them.
  void write_queue(const script_call& call, queue which, std::uint64_t id, std::uint64_t before,
                   std::uint64_t first, std::span<const stored_message> appended) const {
    if (before < first) {
      connection_.erase_messages(call, which, key_of_message(id, before),
                                 key_of_message(id, first));
    }
    for (const stored_message& m : appended) {
      if (m.index < first) continue;
      row_bytes head = encode_message_head(seed_, which, id, m);
      connection_.put_message(call, which, key_of_message(id, m.index), head, m);
    }
  }

  void forget(const script_call& call, std::span<const std::byte> name) const {
    auto known = peers_.find(text_of_name(name));
    if (known == peers_.end()) fail(error::store_corrupt, "a peer to forget is not stored");
    std::uint64_t id = known->second.id;
    for (queue which : {queue::outbox, queue::inbox}) {
      connection_.erase_messages(call, which, key_of_message(id, 0), key_of_message(id + 1, 0));
    }
    connection_.erase_peer(call, id);
  }

  void accept(const encoded_batch& change, std::vector<peer_record> after, const owner_row& next) {
    for (peer_record& r : after) {
      next_id_ = std::max(next_id_, r.id + 1);
      peers_[r.name] = std::move(r);
    }
    for (const std::vector<std::byte>& name : change.forgotten) peers_.erase(text_of_name(name));
    owner_ = next;
    row_ = next.encode();
  }

  std::string name_;
  indexed_db_connection connection_;
  owner_row owner_;
  row_bytes row_;  ///< of `owner_`, as it is in the database
  std::uint32_t seed_ = 0;
  std::map<std::string, peer_record, std::less<>> peers_;
  std::uint64_t next_id_ = 1;
};

/// See indexed_db_backend.
class indexed_db_store final : public encoded_store {
 public:
  indexed_db_store(std::string name, const indexed_db_options& o)
      : name_(std::move(name)), options_(o) {
    std::string wrong = validation_error(o);
    if (wrong.empty() && name_.empty()) wrong = "an indexed_db_backend needs a name";
    if (!wrong.empty()) throw std::system_error(make_error_code(error::invalid_options), wrong);
  }
  indexed_db_store(const indexed_db_store&) = delete;
  indexed_db_store& operator=(const indexed_db_store&) = delete;
  ~indexed_db_store() override { release(); }

  asio::awaitable<encoded_owner> open(const peer_visitor& add_peer) override {
    release();
    auto made = std::make_shared<indexed_db_database>(name_);
    encoded_owner owner = co_await made->open(options_.lock_wait, add_peer);
    database_ = std::move(made);
    co_return owner;
  }

  asio::awaitable<void> commit(encoded_batch change) override {
    std::shared_ptr<indexed_db_database> d = opened();
    co_await d->commit(std::move(change));
  }

  asio::awaitable<std::vector<stored_message>> read(queue which, std::vector<std::byte> peer,
                                                    std::uint64_t from, page_limit limit) override {
    std::shared_ptr<indexed_db_database> d = opened();
    co_return co_await d->read(which, std::move(peer), from, limit);
  }

  asio::awaitable<void> close() override {
    release();
    co_return;
  }

 private:
  std::shared_ptr<indexed_db_database> opened() const {
    if (!database_) throw std::system_error(error::store_closed);
    return database_;
  }

  void release() noexcept {
    if (auto d = std::exchange(database_, nullptr)) d->close();
  }

  const std::string name_;
  const indexed_db_options options_;
  std::shared_ptr<indexed_db_database> database_;
};

}  // namespace ilm::inline v0::detail
