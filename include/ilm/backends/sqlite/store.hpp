#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/effect_gate.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/rows.hpp>
#include <ilm/backends/sqlite/schema.hpp>
#include <ilm/backends/sqlite/statements.hpp>
#include <ilm/backends/sqlite/store_guard.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail {

/// The blocking part of a sqlite_backend: a database, for one thread at a time. Peers go by their
/// encoded ids. The tables, each name with the prefix (`ilm_` in a file of ILM's own):
///
/// | table    | columns                                                                     |
/// |----------|-----------------------------------------------------------------------------|
/// | `store`  | `id` = 1, `version`, `seed`, `holder`, `incarnation` (16 bytes), `local` (the
///              encoded local id), `checksum`, `failures`                                   |
/// | `peer`   | `id`, `name` (the encoded peer id), `cursors` (cursors::encode), `checksum` |
/// | `outbox` | `key`, `sequence`, `salt`, `hash` (16 bytes), `time`, `checksum`, `contents`,
///              `attributes`                                                                |
/// | `inbox`  | the same                                                                    |
///
/// `incarnation` and `local` are empty until the first messenger gives them. `seed` is a random
/// number of the store, which begins each checksum: a row of another store never passes. `holder`
/// is a random number of whoever wrote to the store last; each transaction looks whether it is
/// still this one, so that of two messengers the earlier one stops, even where no lock told them.
///
/// `key`: `peer.id` times 2^40 plus the message's index modulo 2^40: one integer, because SQLite
/// appends to a table in order of an integer key twice as fast as to any other. A stream never has
/// 2^40 messages in a queue at once, so the index is known from the cursors. 64-bit numbers are
/// stored as the signed ones of the same bits, `time` is Unix time in milliseconds when the
/// message was stored, `attributes` is null for a message without any, and the checksum is the
/// CRC-32C of all else in the row but the time (rows.hpp), the queue and peer included.
/// `application_id` of a file of ILM's own is "ILM1".
class sqlite_store {
 public:
  using named_cursors = std::pair<bytes, cursors>;

  struct state {
    incarnation local;  ///< none if the store is new
    bytes local_id;     ///< encoded; empty if the store has none
    std::vector<named_cursors> peers;
  };

  sqlite_store(const std::string& file, const sqlite_options& o, durability level)
      : busy_timeout_(o.busy_timeout),
        guard_(file, o, level),
        database_(guard_.name(), o.vfs),
        schema_(database_, o.table_prefix),
        statements_(prepare(o, level)),
        gate_(database_, schema_.prefix()) {}
  sqlite_store(const sqlite_store&) = delete;
  sqlite_store& operator=(const sqlite_store&) = delete;
  ~sqlite_store() { guard_.handle_closing(); }

  /// All that is stored besides messages. Throws error::store_corrupt where a check fails. Changes
  /// nothing of the store: the first `change` takes it from its last holder.
  state load() {
    state found = read_store_row();
    read_peers(found);
    next_mark_ = mark_;
    if (!schema_.in_application_database()) {
      guard_.require_own_log(sqlite_schema::header_bits_of(seed_number_));
    }
    guard_.require_newest(mark_);
    guard_.handle_opened(database_, mark_);
    if (guard_.log_is_void()) {
      require_whole(found);
      log_is_void_ = !empty_log();
    }
    database_.keep_log_on_close(false);
    return found;
  }

  /// Runs `work`, which calls `set_identity`, `put` and `forget`, as one durable change: all of it
  /// or none. Throws sqlite_error::taken_over if another messenger has the store now, and
  /// sqlite_error::file_moved if its files are no longer under their names.
  template <class Work>
  void change(Work work) {
    transact([&] {
      require_hold();
      if (!holds_) set_store(random_number(), store_.local, store_.name);
      work();
    });
    holds_ = true;
    if (std::exchange(has_new_identity_, false)) empty_log();
  }

  /// `name`: the encoded local id; may be empty.
  void set_identity(const incarnation& i, std::span<const std::byte> name) {
    std::array<std::byte, 16> encoded = encode_pair(i);
    set_store(next_store().holder, bytes(encoded), bytes(name));
    has_new_identity_ = true;
  }

  void put(std::span<const std::byte> name, const cursors& next,
           std::span<const stored_message> outbox, std::span<const stored_message> inbox) {
    auto known = peers_.find(text_of_name(name));
    peer_record before =
        known != peers_.end() ? known->second : peer_record(next_id_ + changed_.size(), next, {});
    if (before.id > maximum_peer_row) throw std::system_error(sqlite_error::too_many_peers);
    std::uint64_t now = unix_milliseconds();
    // Erase first: an appended message may take the key of an erased one, 2^40 below.
    erase(queue::outbox, before.id, before.outbox_first, next.outbox.first);
    erase(queue::inbox, before.id, before.inbox_first, next.inbox.first);
    append(queue::outbox, before.id, next.outbox.first, outbox, now);
    append(queue::inbox, before.id, next.inbox.first, inbox, now);
    cursors::encoded encoded = next.encode();
    sqlite_statement& store = known != peers_.end() ? statements_.set_peer : statements_.add_peer;
    std::uint32_t checksum = peer_row_checksum(seed_, before.id, name, encoded);
    store.bind(1, before.id).bind(2, encoded).bind(3, checksum);
    if (known == peers_.end()) store.bind(4, name);
    store.run();
    if (sqlite3_changes(database_.get()) != 1) throw std::system_error(error::store_corrupt);
    peer_record after(before.id, next, mark_of_row(checksum, next));
    if (known != peers_.end()) next_mark_ = next_mark_ - before.mark;
    next_mark_ = next_mark_ + after.mark;
    changed_.emplace_back(text_of_name(name), after);
  }

  /// Erases all that is stored of a peer. It must be stored.
  void forget(std::span<const std::byte> name) {
    auto known = peers_.find(text_of_name(name));
    if (known == peers_.end()) throw std::system_error(error::store_corrupt);
    const peer_record& before = known->second;
    for (queue which : {queue::outbox, queue::inbox}) {
      erase_keys(which, row_key(before.id, 0), row_key(before.id, row_index_mask));
    }
    statements_.drop_peer.bind(1, before.id).run();
    if (sqlite3_changes(database_.get()) != 1) throw std::system_error(error::store_corrupt);
    next_mark_ = next_mark_ - before.mark;
    forgotten_.push_back(known->first);
  }

  /// Within `change`.
  void apply(effects<sqlite_transaction>& all) { gate_.apply(all); }

  /// See the concept ilm::backend. Whatever stops a page short stops it before the message that is
  /// missing or damaged.
  std::vector<stored_message> read(queue which, std::span<const std::byte> name, std::uint64_t from,
                                   page_limit limit) {
    std::vector<stored_message> page;
    auto known = peers_.find(text_of_name(name));
    if (known == peers_.end()) return page;
    const peer_record& where = known->second;
    if (from < (which == queue::outbox ? where.outbox_first : where.inbox_first)) return page;
    require_hold();
    std::uint64_t id = where.id;
    sqlite_statement& s = statements_.read[index_of(which)];
    sqlite_reset reset(s);
    s.bind(1, row_key(id, from)).bind(2, row_key(id, ~std::uint64_t{0}));
    s.bind(3, std::min<std::uint64_t>(limit.messages, maximum_page_messages));
    std::size_t size = 0;
    for (std::uint64_t index = from; step_within(s, page.empty()); ++index) {
      if (s.number(0) != row_key(id, index)) break;
      std::span<const std::byte> contents = s.blob(5), attributes = s.blob(6);
      stored_message m(index, s.number(1), s.number(2), hash_in(s), bytes());
      if (s.number(4) != message_row_checksum(seed_, which, id, m, contents, attributes)) {
        if (page.empty()) throw std::system_error(error::store_corrupt);
        break;
      }
      size += contents.size() + attributes.size();
      if (size > limit.bytes && !page.empty()) break;
      m.contents = bytes(contents);
      m.attributes = bytes(attributes);
      page.push_back(std::move(m));
    }
    return page;
  }

  /// Gives a little of the erased space back; true if there is more to give.
  bool reclaim_space() {
    if (schema_.in_application_database() || !erased_) return false;
    if (!statements_.free_pages.step()) return erased_ = false;
    std::uint64_t free = statements_.free_pages.number(0);
    statements_.free_pages.reset();
    if (free <= spare_pages) {
      if (std::exchange(vacuumed_, false)) empty_log();
      return erased_ = false;
    }
    database_.execute("PRAGMA incremental_vacuum(" + std::to_string(vacuum_step) + ")");
    return vacuumed_ = true;
  }

  /// Leaves the write-ahead log as it is when the connection closes, which then takes no time.
  void skip_checkpoint_on_close() noexcept { database_.keep_log_on_close(true); }

 private:
  /// How many pages of erased space are kept, and how many are given back at a time.
  static constexpr std::uint64_t spare_pages = 1024;
  static constexpr unsigned vacuum_step = 256;
  static constexpr std::uint64_t maximum_page_messages = std::uint64_t{1} << 30;

  struct peer_record {
    peer_record() = default;
    peer_record(std::uint64_t number, const cursors& c, const store_mark& m)
        : id(number), outbox_first(c.outbox.first), inbox_first(c.inbox.first), mark(m) {}

    std::uint64_t id = 0;
    std::uint64_t outbox_first = 1;
    std::uint64_t inbox_first = 1;
    store_mark mark;
  };

  struct store_row {
    std::uint64_t holder = 0;
    bytes local;
    bytes name;
    std::uint64_t checksum = 0;
  };

  sqlite_statements prepare(const sqlite_options& o, durability level) {
    sqlite_check(sqlite3_busy_timeout(database_.get(), static_cast<int>(busy_timeout_.count())));
    schema_.check_database();
    guard_.take(schema_, o);
    if (!schema_.has_tables() && guard_.knows_store()) {
      throw std::system_error(error::store_corrupt, guard_.name() + " has lost its tables");
    }
    schema_.set_up(o, level);
    schema_.make_tables(random_number());
    return {database_, schema_};
  }

  static std::uint64_t random_number() {
    std::random_device device;
    return std::uint64_t{device()} << 32 | device();
  }

  state read_store_row() {
    sqlite_statement s = schema_.sql(
        "SELECT version, seed, holder, incarnation, local, checksum FROM $store WHERE id = 1");
    if (!s.step()) throw std::system_error(error::store_corrupt);
    std::uint64_t seed = s.number(1);
    store_.holder = s.number(2);
    store_.local = bytes(s.blob(3));
    store_.name = bytes(s.blob(4));
    store_.checksum = s.number(5);
    seed_ = checksum_seed(seed);
    if (store_.checksum != store_row_checksum(s.number(0), seed, store_.holder, store_.local.view(),
                                              store_.name.view())) {
      throw std::system_error(error::store_corrupt);
    }
    seed_number_ = seed;
    mark_ = mark_of_row(store_.checksum);
    state found;
    if (!store_.local.empty()) found.local = decode_pair<incarnation>(store_.local.view());
    found.local_id = store_.name;
    return found;
  }

  /// Messages where cursors leave room for none would fail every commit that puts one there.
  void check_keys(queue which, const row_ranges& known) const {
    sqlite_statement s = schema_.sql("SELECT 1 FROM " + sqlite_statements::table_of(which) +
                                     " WHERE key BETWEEN ?1 AND ?2 LIMIT 1");
    known.for_each_gap([&s](std::int64_t first, std::int64_t last) {
      s.bind(1, static_cast<std::uint64_t>(first)).bind(2, static_cast<std::uint64_t>(last));
      if (s.step()) {
        throw std::system_error(error::store_corrupt, "a message is stored where none can be");
      }
    });
  }

  void read_peers(state& found) {
    std::array<row_ranges, 2> known;
    sqlite_statement peers =
        schema_.sql("SELECT id, name, cursors, checksum FROM $peer ORDER BY id");
    while (peers.step()) {
      std::uint64_t id = peers.number(0);
      std::span<const std::byte> name = peers.blob(1);
      std::span<const std::byte> stored = peers.blob(2);
      bool whole = id != 0 && id <= maximum_peer_row && stored.size() == cursors::encoded_size &&
                   peers.number(3) == peer_row_checksum(seed_, id, name, stored);
      if (!whole) throw std::system_error(error::store_corrupt);
      cursors c = cursors::decode(stored.first<cursors::encoded_size>());
      found.peers.emplace_back(bytes(name), c);
      known[0].add(id, c.outbox.first, c.outbox.next);
      known[1].add(id, c.inbox.first, c.inbox.next);
      peer_record found_record(id, c, mark_of_row(peers.number(3), c));
      mark_ = mark_ + found_record.mark;
      if (!peers_.emplace(text_of_name(name), found_record).second) {
        throw std::system_error(error::store_corrupt);
      }
      next_id_ = std::max(next_id_, id + 1);
    }
    check_keys(queue::outbox, known[0]);
    check_keys(queue::inbox, known[1]);
  }

  /// A checkpoint that was cut short may have left the newest cursors in the file, and not the
  /// newest messages. Throws error::store_corrupt.
  void require_whole(const state& found) const {
    sqlite_statement check = schema_.sql("PRAGMA quick_check(1)");
    if (!check.step() || check.text(0) != "ok") throw std::system_error(error::store_corrupt);
    std::uint64_t messages = 0;
    for (const auto& [name, c] : found.peers) {
      messages += c.outbox.next - c.outbox.first + (c.inbox.next - c.inbox.first);
    }
    std::uint64_t stored = 0;
    for (queue which : {queue::outbox, queue::inbox}) {
      sqlite_statement count =
          schema_.sql("SELECT count(*) FROM " + sqlite_statements::table_of(which));
      if (count.step()) stored += count.number(0);
    }
    if (stored != messages) throw std::system_error(error::store_corrupt);
  }

  void set_store(std::uint64_t holder, bytes local, bytes name) {
    store_row next{holder, std::move(local), std::move(name), 0};
    next.checksum = store_row_checksum(sqlite_schema::version, seed_number_, next.holder,
                                       next.local.view(), next.name.view());
    statements_.set_store.bind(1, next.holder).bind(2, next.local.view()).bind(3, next.name.view());
    statements_.set_store.bind(4, next.checksum).run();
    next_mark_ = next_mark_ - mark_of_row(next_store().checksum) + mark_of_row(next.checksum);
    changed_store_ = std::move(next);
  }

  /// As the transaction under way leaves it.
  const store_row& next_store() const { return changed_store_ ? *changed_store_ : store_; }

  /// Another messenger that opened the store is its holder now.
  void require_hold() {
    sqlite_statement& s = statements_.holder;
    sqlite_reset reset(s);
    if (!s.step()) throw std::system_error(error::store_corrupt);
    if (s.number(0) != store_.holder) throw std::system_error(sqlite_error::taken_over);
  }

  template <class Work>
  void transact(Work work) {
    if (lost_) std::rethrow_exception(lost_);
    // SQLite would begin it anew with the marks of what is left of it, perhaps.
    if (log_is_void_) log_is_void_ = !empty_log();
    statements_.begin.run();
    try {
      work();
      guard_.check();
      guard_.begin_commit(next_mark_);
    } catch (...) {
      undo();
      throw;
    }
    try {
      statements_.commit.run();
    } catch (...) {
      undo();
      overwrite_failed_commit();
      throw;
    }
    guard_.complete_commit(next_mark_);
    accept_changes();
    require_files();
    if (in_doubt_) settle_doubt();
  }

  /// After a commit: if a file went meanwhile, nobody knows whether the commit is in it.
  void require_files() {
    try {
      guard_.check_names();
    } catch (...) {
      lost_ = std::current_exception();
      throw;
    }
  }

  void forget_changes() noexcept {
    changed_.clear();
    changed_store_.reset();
    forgotten_.clear();
    next_mark_ = mark_;
  }
  void accept_changes() {
    for (auto& [name, s] : changed_) {
      next_id_ = std::max(next_id_, s.id + 1);
      peers_[std::move(name)] = s;
    }
    for (const std::string& name : forgotten_) peers_.erase(name);
    if (changed_store_) store_ = *std::move(changed_store_);
    mark_ = next_mark_;
    forget_changes();
  }

  /// A damaged one is found by the checksum.
  static stream_hash hash_in(sqlite_statement& s) {
    std::span<const std::byte> stored = s.blob(3);
    return stored.size() == 16 ? decode_pair<stream_hash>(stored) : stream_hash();
  }
  static std::size_t index_of(queue which) noexcept { return which == queue::outbox ? 0 : 1; }
  static std::uint64_t unix_milliseconds() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
  }

  void append(queue which, std::uint64_t id, std::uint64_t first,
              std::span<const stored_message> messages, std::uint64_t now) {
    sqlite_statement& s = statements_.insert[index_of(which)];
    for (const stored_message& m : messages) {
      if (m.index < first) continue;
      std::span<const std::byte> contents = m.contents.view(), attributes = m.attributes.view();
      std::array<std::byte, 16> hash = encode_pair(m.hash);
      s.bind(1, row_key(id, m.index)).bind(2, m.sequence).bind(3, m.salt).bind(4, hash);
      s.bind(5, now).bind(6, message_row_checksum(seed_, which, id, m, contents, attributes));
      s.bind(7, contents);
      attributes.empty() ? s.bind_null(8) : s.bind(8, attributes);
      s.run();
    }
  }

  void erase(queue which, std::uint64_t id, std::uint64_t from, std::uint64_t to) {
    if (from >= to) return;
    // The last one to erase; a queue that goes on that far above is left empty.
    std::uint64_t last = from + std::min(to - 1 - from, row_index_mask);
    // Up to where the keys begin anew, should that lie between, and from there on.
    std::uint64_t turn = std::min(last, from | row_index_mask);
    erase_keys(which, row_key(id, from), row_key(id, turn));
    if (turn != last) erase_keys(which, row_key(id, turn + 1), row_key(id, last));
  }
  void erase_keys(queue which, std::uint64_t first, std::uint64_t last) {
    statements_.erase[index_of(which)].bind(1, first).bind(2, last).run();
    erased_ = true;
  }

  void undo() noexcept {
    forget_changes();
    if (!database_.in_transaction()) return;
    try {
      statements_.roll_back.run();
    } catch (...) {
      // SQLite has rolled back by itself, or will before it begins another.
    }
  }

  /// A commit that failed while the log was synced is undone, but its records are still at the end
  /// of the log, where SQLite would find them after a crash. Another commit takes their place: one
  /// that counts the failure, for SQLite writes nothing where nothing changes.
  void overwrite_failed_commit() noexcept {
    in_doubt_ = true;
    guard_.set_doubt(true);
    try {
      statements_.count_failure.bind(1, store_.holder).run();
      settle_doubt();
    } catch (...) {
      // Then the next one that succeeds does it.
    }
  }

  /// A commit succeeded. Once the log is emptied nothing is left of those that failed.
  void settle_doubt() noexcept {
    try {
      if (!empty_log()) return;
      in_doubt_ = false;
      guard_.set_doubt(false);
    } catch (...) {
      // Next time.
    }
  }

  /// Works the log into the file and empties it; false if somebody reads just now.
  bool empty_log() const {
    sqlite3_busy_timeout(database_.get(), 0);
    bool busy = true;
    try {
      busy = database_.number("PRAGMA wal_checkpoint(TRUNCATE)") != 0;
    } catch (const std::system_error&) {
      // The log is as it was, and the next attempt may succeed.
    }
    sqlite3_busy_timeout(database_.get(), static_cast<int>(busy_timeout_.count()));
    return !busy;
  }

  /// As step, but damage to the database ends a page that has messages instead of failing it.
  static bool step_within(sqlite_statement& s, bool first) {
    try {
      return s.step();
    } catch (const std::system_error& e) {
      if ((e.code().value() & 0xff) != SQLITE_CORRUPT) throw;
      if (first) throw std::system_error(error::store_corrupt);
      return false;
    }
  }

  std::chrono::milliseconds busy_timeout_;
  store_guard guard_;  ///< goes after the database is closed
  sqlite_connection database_;
  sqlite_schema schema_;
  sqlite_statements statements_;
  sqlite_effect_gate gate_;

  std::map<std::string, peer_record, std::less<>> peers_;
  store_row store_;
  std::uint64_t seed_number_ = 0;
  std::uint32_t seed_ = 0;
  store_mark mark_;
  /// By the transaction under way.
  std::vector<std::pair<std::string, peer_record>> changed_;
  std::vector<std::string> forgotten_;
  std::optional<store_row> changed_store_;
  store_mark next_mark_;
  bool holds_ = false;
  bool has_new_identity_ = false;
  bool log_is_void_ = false;  ///< it has no valid header, and is to be emptied
  bool in_doubt_ = false;     ///< a commit failed, and may turn out to be stored
  /// Why nothing can be stored any more.
  std::exception_ptr lost_;
  std::uint64_t next_id_ = 1;
  bool erased_ = false;
  bool vacuumed_ = false;
};

}  // namespace ilm::inline v0::detail
