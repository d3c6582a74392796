#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm {

/// Where and how a sqlite_backend keeps its tables.
struct sqlite_options {
  /// Empty: the file is ILM's alone. Otherwise the file is a database of the application's, in WAL
  /// mode, and ILM's tables in it have names that begin so: letters, digits and underscores.
  std::string table_prefix;
  /// How long an operation waits for another connection's transaction before it fails.
  std::chrono::milliseconds busy_timeout = std::chrono::seconds(5);
  /// How large the write-ahead log grows before it is worked into the file, in pages of 4 KiB.
  unsigned checkpoint_pages = 1000;
  /// SQLite's page cache, in KiB.
  unsigned cache_kibibytes = 8 << 10;
  /// The name of the SQLite VFS to use; empty: SQLite's default.
  std::string vfs;
};

namespace detail {

/// The blocking part of a sqlite_backend: a database, for one thread at a time. Peers go by their
/// encoded ids. The tables, each name with the prefix (`ilm_` in a file of ILM's own):
///
/// | table    | columns                                                                   |
/// |----------|---------------------------------------------------------------------------|
/// | `store`  | `id` = 1, `version`, `incarnation` (16 bytes), `checksum`, `failures`     |
/// | `peer`   | `id`, `name` (the encoded peer id), `cursors` (cursors::encode), `checksum` |
/// | `outbox` | `key`, `sequence`, `epoch`, `time`, `checksum`, `contents`                |
/// | `inbox`  | the same                                                                  |
///
/// `key`: `peer.id` times 2^40 plus the message's index modulo 2^40: one integer, because SQLite
/// appends to a table in order of an integer key twice as fast as to any other. A stream never has
/// 2^40 messages in a box at once, so the index is known from the cursors. 64-bit numbers are
/// stored as the signed ones of the same bits, `time` is Unix time in milliseconds when the
/// message was stored, and the checksum is the CRC-32C of all else in the row, the box and peer
/// included. `application_id` of a file of ILM's own is "ILM1".
class sqlite_store {
 public:
  static constexpr std::uint64_t version = 2;
  static constexpr std::uint64_t application_id = 0x494c4d31;

  using named_cursors = std::pair<bytes, cursors>;

  sqlite_store(const std::string& file, const sqlite_options& o, durability level)
      : hosted_(!o.table_prefix.empty()),
        prefix_(hosted_ ? o.table_prefix : "ilm_"),
        busy_timeout_(static_cast<int>(o.busy_timeout.count())),
        database_(file, o.vfs) {
    refuse_read_only_file();
    refuse_foreign_file();
    lock(o.vfs);
    set_up(o, level);
    upgrade();
    begin_ = database_.prepare("BEGIN IMMEDIATE");
    commit_ = database_.prepare("COMMIT");
    roll_back_ = database_.prepare("ROLLBACK");
    count_failure_ = sql("UPDATE $store SET failures = failures + 1");
    set_incarnation_ = sql("UPDATE $store SET incarnation = ?1, checksum = ?2");
    add_peer_ = sql("INSERT INTO $peer (id, cursors, checksum, name) VALUES (?1, ?2, ?3, ?4)");
    set_peer_ = sql("UPDATE $peer SET cursors = ?2, checksum = ?3 WHERE id = ?1");
    const char* tables[] = {"$outbox", "$inbox"};
    for (std::size_t which = 0; which < 2; ++which) {
      std::string table = tables[which];
      insert_[which] = sql("INSERT INTO " + table + " VALUES (?1, ?2, ?3, ?4, ?5, ?6)");
      erase_[which] = sql("DELETE FROM " + table + " WHERE key BETWEEN ?1 AND ?2");
      read_[which] = sql("SELECT key, sequence, epoch, checksum, contents FROM " + table +
                         " WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3");
    }
    free_pages_ = database_.prepare("PRAGMA freelist_count");
  }

  /// What is stored besides messages. Throws error::store_corrupt where it fails its check.
  std::pair<incarnation, std::vector<named_cursors>> load() {
    std::pair<incarnation, std::vector<named_cursors>> found;
    sqlite_statement store = sql("SELECT incarnation, checksum FROM $store");
    if (!store.step()) throw std::system_error(error::store_corrupt);
    if (!store.is_null(0)) found.first = decode_incarnation(store.blob(0), store.number(1));
    sqlite_statement peers = sql("SELECT id, name, cursors, checksum FROM $peer ORDER BY id");
    while (peers.step()) {
      std::uint64_t id = peers.number(0);
      std::span<const std::byte> name = peers.blob(1);
      std::span<const std::byte> stored = peers.blob(2);
      if (stored.size() != cursors::encoded_size ||
          peers.number(3) != peer_checksum(id, name, stored)) {
        throw std::system_error(error::store_corrupt);
      }
      cursors c = cursors::decode(stored.first<cursors::encoded_size>());
      found.second.emplace_back(bytes(name), c);
      peers_[key_of(name)] = shelf(id, c);
      next_id_ = std::max(next_id_, id + 1);
    }
    return found;
  }

  /// Runs `work`, which calls `mint` and `put`, as one durable change: all of it or none.
  template <class Work>
  void change(Work work) {
    begin_.run();
    changed_.clear();
    try {
      work();
    } catch (...) {
      undo();
      throw;
    }
    try {
      commit_.run();
    } catch (...) {
      undo();
      overwrite_failed_commit();
      throw;
    }
    for (auto& [name, s] : changed_) {
      next_id_ = std::max(next_id_, s.id + 1);
      peers_[std::move(name)] = s;
    }
  }

  void mint(const incarnation& made) {
    std::array<std::byte, 16> encoded = encode_incarnation(made);
    set_incarnation_.bind(1, encoded).bind(2, crc32c(encoded)).run();
  }

  void put(std::span<const std::byte> name, const cursors& next,
           std::span<const stored_message> outbox, std::span<const stored_message> inbox) {
    auto known = peers_.find(key_of(name));
    shelf before = known != peers_.end() ? known->second : shelf(next_id_ + changed_.size(), next);
    if (before.id > last_id) throw std::system_error(sqlite_error::too_many_peers);
    std::uint64_t now = unix_milliseconds();
    // In this order: what is appended may take the keys of what is erased, 2^40 below.
    erase(box::outbox, before.id, before.outbox_first, next.outbox_first);
    erase(box::inbox, before.id, before.inbox_first, next.inbox_first);
    append(box::outbox, before.id, next.outbox_first, outbox, now);
    append(box::inbox, before.id, next.inbox_first, inbox, now);
    cursors::encoded encoded = next.encode();
    sqlite_statement& store = known != peers_.end() ? set_peer_ : add_peer_;
    store.bind(1, before.id).bind(2, encoded).bind(3, peer_checksum(before.id, name, encoded));
    if (known == peers_.end()) store.bind(4, name);
    store.run();
    changed_.emplace_back(key_of(name), shelf(before.id, next));
  }

  /// See the concept ilm::backend. Whatever stops a page short stops it before the message that is
  /// missing or damaged.
  std::vector<stored_message> read(box which, std::span<const std::byte> name, std::uint64_t from,
                                   page_limit limit) {
    std::vector<stored_message> page;
    auto known = peers_.find(key_of(name));
    if (known == peers_.end()) return page;
    const shelf& where = known->second;
    if (from < (which == box::outbox ? where.outbox_first : where.inbox_first)) return page;
    std::uint64_t id = where.id;
    sqlite_statement& s = read_[index_of(which)];
    sqlite_reset reset(s);
    s.bind(1, key(id, from)).bind(2, key(id, ~std::uint64_t{0}));
    s.bind(3, std::min<std::uint64_t>(limit.messages, 1U << 30));
    std::size_t size = 0;
    for (std::uint64_t index = from; step_within(s, page.empty()); ++index) {
      if (s.number(0) != key(id, index)) break;
      std::span<const std::byte> contents = s.blob(4);
      stored_message m(index, s.number(1), s.number(2), bytes());
      if (s.number(3) != message_checksum(which, id, m, contents)) {
        if (page.empty()) throw std::system_error(error::store_corrupt);
        break;
      }
      size += contents.size();
      if (size > limit.bytes && !page.empty()) break;
      m.contents = bytes(contents);
      page.push_back(std::move(m));
    }
    return page;
  }

  /// Gives a little of the erased space back; true if there is more to give.
  bool tidy() {
    if (hosted_ || !erased_) return false;
    if (!free_pages_.step()) return erased_ = false;
    std::uint64_t free = free_pages_.number(0);
    free_pages_.reset();
    if (free <= spare_pages) {
      if (std::exchange(vacuumed_, false)) shrink();
      return erased_ = false;
    }
    database_.execute("PRAGMA incremental_vacuum(" + std::to_string(vacuum_step) + ")");
    return vacuumed_ = true;
  }

  /// Leaves the write-ahead log as it is when the connection closes, which then takes no time.
  void leave_log() noexcept {
    sqlite3_db_config(database_.get(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
  }

 private:
  static constexpr unsigned index_bits = 40;
  static constexpr std::uint64_t index_mask = (std::uint64_t{1} << index_bits) - 1;
  static constexpr std::uint64_t last_id = (std::uint64_t{1} << (63 - index_bits)) - 1;
  static constexpr std::uint64_t spare_pages = 1024;
  static constexpr unsigned vacuum_step = 256;

  struct shelf {
    shelf() = default;
    shelf(std::uint64_t number, const cursors& c)
        : id(number), outbox_first(c.outbox_first), inbox_first(c.inbox_first) {}

    std::uint64_t id = 0;
    std::uint64_t outbox_first = 1;
    std::uint64_t inbox_first = 1;
  };

  static std::string key_of(std::span<const std::byte> name) {
    return {reinterpret_cast<const char*>(name.data()), name.size()};
  }
  static std::size_t index_of(box which) noexcept { return which == box::outbox ? 0 : 1; }
  static std::uint64_t key(std::uint64_t id, std::uint64_t index) noexcept {
    return id << index_bits | (index & index_mask);
  }
  static std::uint64_t unix_milliseconds() {
    auto since = std::chrono::system_clock::now().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
  }

  // Checks.

  static std::uint32_t peer_checksum(std::uint64_t id, std::span<const std::byte> name,
                                     std::span<const std::byte> stored) noexcept {
    return crc32c(stored, crc32c(name, crc32c(big_endian(id))));
  }
  static std::uint32_t message_checksum(box which, std::uint64_t id, const stored_message& m,
                                        std::span<const std::byte> contents) noexcept {
    std::array<std::byte, 33> head{};
    head[0] = static_cast<std::byte>(which);
    std::size_t at = 1;
    for (std::uint64_t value : {id, m.index, m.sequence, m.epoch}) {
      std::array<std::byte, 8> encoded = big_endian(value);
      std::memcpy(head.data() + at, encoded.data(), encoded.size());
      at += encoded.size();
    }
    return crc32c(contents, crc32c(head));
  }
  static std::array<std::byte, 8> big_endian(std::uint64_t value) noexcept {
    std::array<std::byte, 8> out{};
    for (std::size_t i = 0; i < 8; ++i) out[i] = static_cast<std::byte>(value >> (56 - 8 * i));
    return out;
  }
  static std::array<std::byte, 16> encode_incarnation(const incarnation& i) noexcept {
    std::array<std::byte, 16> out{};
    std::array<std::byte, 8> high = big_endian(i.high), low = big_endian(i.low);
    std::copy(high.begin(), high.end(), out.begin());
    std::copy(low.begin(), low.end(), out.begin() + 8);
    return out;
  }
  static incarnation decode_incarnation(std::span<const std::byte> stored, std::uint64_t checksum) {
    if (stored.size() != 16 || checksum != crc32c(stored)) {
      throw std::system_error(error::store_corrupt);
    }
    incarnation i;
    for (std::size_t at = 0; at < 8; ++at) {
      i.high = i.high << 8 | std::to_integer<std::uint64_t>(stored[at]);
      i.low = i.low << 8 | std::to_integer<std::uint64_t>(stored[at + 8]);
    }
    return i;
  }

  // Opening.

  /// SQL in which $name stands for a table of ours.
  sqlite_statement sql(std::string text) const {
    for (auto at = text.find('$'); at != std::string::npos; at = text.find('$')) {
      text.replace(at, 1, prefix_);
    }
    return database_.prepare(text);
  }

  bool has_tables() const {
    sqlite_statement s =
        database_.prepare("SELECT count(*) FROM sqlite_schema WHERE name = '" + prefix_ + "store'");
    return s.step() && s.number(0) != 0;
  }

  /// SQLite falls back to reading where it may not write.
  void refuse_read_only_file() const {
    if (sqlite3_db_readonly(database_.get(), "main") == 1) {
      throw std::system_error(SQLITE_READONLY, sqlite_category());
    }
  }

  void refuse_foreign_file() const {
    if (hosted_ || has_tables()) return;
    std::uint64_t application = database_.number("PRAGMA application_id");
    if ((application != 0 && application != application_id) ||
        database_.number("SELECT count(*) FROM sqlite_schema") != 0) {
      throw std::system_error(sqlite_error::foreign_database);
    }
  }

  /// Takes the store for this object alone, by an exclusive transaction on an empty database beside
  /// it that ends with the connection: SQLite knows how to lock a file on every system, and other
  /// connections can still read the store.
  void lock(const std::string& vfs) {
    std::string file = sqlite3_db_filename(database_.get(), "main");
    lock_ =
        std::make_unique<sqlite_connection>(file + (hosted_ ? "-" + prefix_ : "-") + "lock", vfs);
    try {
      lock_->execute("PRAGMA journal_mode=OFF");
      lock_->execute("BEGIN EXCLUSIVE");
    } catch (const std::system_error& e) {
      if ((e.code().value() & 0xff) == SQLITE_BUSY) throw std::system_error(error::store_in_use);
      throw;
    }
  }

  void set_up(const sqlite_options& o, durability level) {
    sqlite_check(sqlite3_busy_timeout(database_.get(), busy_timeout_));
    if (!hosted_ && !has_tables()) {
      database_.execute("PRAGMA auto_vacuum=INCREMENTAL");
      database_.execute("PRAGMA application_id=" + std::to_string(application_id));
    }
    // What hosts us chooses its journal itself.
    if (database_.text(hosted_ ? "PRAGMA journal_mode" : "PRAGMA journal_mode=WAL") != "wal") {
      throw std::system_error(sqlite_error::not_wal);
    }
    bool media = level == durability::media;
    database_.execute(media ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (media) database_.execute("PRAGMA fullfsync=ON");
    database_.execute("PRAGMA wal_autocheckpoint=" + std::to_string(o.checkpoint_pages));
    database_.execute("PRAGMA journal_size_limit=" + std::to_string(4096ULL * o.checkpoint_pages));
    database_.execute("PRAGMA cache_size=-" + std::to_string(o.cache_kibibytes));
    database_.execute("PRAGMA trusted_schema=OFF");
  }

  /// Brings the tables to the present version, step by step; a new store has version 0.
  void upgrade() {
    database_.execute("BEGIN IMMEDIATE");
    std::uint64_t found = 0;
    if (has_tables()) {
      sqlite_statement s = sql("SELECT version FROM $store");
      if (!s.step()) throw std::system_error(error::store_corrupt);
      found = s.number(0);
    }
    if (found > version) throw std::system_error(sqlite_error::newer_version);
    if (found < 1) make_tables();
    if (found == 1) extend_cursors();
    database_.execute("COMMIT");
  }

  void make_tables() const {
    sql("CREATE TABLE $store (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, "
        "incarnation BLOB, checksum INTEGER, failures INTEGER NOT NULL)")
        .run();
    sql("CREATE TABLE $peer (id INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE, "
        "cursors BLOB NOT NULL, checksum INTEGER NOT NULL)")
        .run();
    for (const char* table : {"$outbox", "$inbox"}) {
      sql("CREATE TABLE " + std::string(table) +
          " (key INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, epoch INTEGER NOT NULL, "
          "time INTEGER NOT NULL, checksum INTEGER NOT NULL, contents BLOB NOT NULL)")
          .run();
    }
    sql("INSERT INTO $store (id, version, failures) VALUES (1, " + std::to_string(version) + ", 0)")
        .run();
  }

  /// In version 1 the cursors ended before `shown_first`: all that was taken counted as shown.
  void extend_cursors() const {
    constexpr std::size_t old_size = cursors::encoded_size - 3 * 8;
    sqlite_statement peers = sql("SELECT id, name, cursors, checksum FROM $peer");
    sqlite_statement put = sql("UPDATE $peer SET cursors = ?2, checksum = ?3 WHERE id = ?1");
    while (peers.step()) {
      std::uint64_t id = peers.number(0);
      std::span<const std::byte> name = peers.blob(1);
      std::span<const std::byte> old = peers.blob(2);
      if (old.size() != old_size || peers.number(3) != peer_checksum(id, name, old)) {
        throw std::system_error(error::store_corrupt);
      }
      cursors::encoded extended{};
      std::ranges::copy(old, extended.begin());
      cursors c = cursors::decode(extended);
      c.shown_first = c.inbox_first;
      c.shown_epoch = c.delivered_epoch;
      extended = c.encode();
      put.bind(1, id).bind(2, extended).bind(3, peer_checksum(id, name, extended)).run();
    }
    sql("UPDATE $store SET version = 2").run();
  }

  // Changing.

  void append(box which, std::uint64_t id, std::uint64_t first,
              std::span<const stored_message> messages, std::uint64_t now) {
    sqlite_statement& s = insert_[index_of(which)];
    for (const stored_message& m : messages) {
      if (m.index < first) continue;
      std::span<const std::byte> contents = m.contents.view();
      s.bind(1, key(id, m.index)).bind(2, m.sequence).bind(3, m.epoch).bind(4, now);
      s.bind(5, message_checksum(which, id, m, contents)).bind(6, contents).run();
    }
  }

  void erase(box which, std::uint64_t id, std::uint64_t from, std::uint64_t to) {
    sqlite_statement& s = erase_[index_of(which)];
    // Who goes on that far above leaves nothing in the box.
    if (to > from && to - from > index_mask) to = from + index_mask + 1;
    while (from < to) {
      // Up to where the keys begin anew, should that lie between.
      std::uint64_t end = std::min(to, (from | index_mask) + 1);
      s.bind(1, key(id, from)).bind(2, key(id, end - 1)).run();
      from = end;
      erased_ = true;
    }
  }

  void undo() noexcept {
    changed_.clear();
    if (!database_.in_transaction()) return;
    try {
      roll_back_.run();
    } catch (...) {
      // SQLite has rolled back by itself, or will before it begins another.
    }
  }

  /// A commit that failed while the log was synced is undone, but its records are still at the end
  /// of the log, where SQLite would find them after a crash. Another commit takes their place: one
  /// that counts the failure, for SQLite writes nothing where nothing changes.
  void overwrite_failed_commit() noexcept {
    try {
      count_failure_.run();
    } catch (...) {
      // Then the next one that succeeds does it.
    }
  }

  /// Works the log into the file and empties it, unless somebody reads just now.
  void shrink() const {
    sqlite3_busy_timeout(database_.get(), 0);
    database_.execute("PRAGMA wal_checkpoint(TRUNCATE)");
    sqlite3_busy_timeout(database_.get(), busy_timeout_);
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

  bool hosted_;
  std::string prefix_;
  int busy_timeout_;
  std::unique_ptr<sqlite_connection> lock_;
  sqlite_connection database_;
  sqlite_statement begin_, commit_, roll_back_, count_failure_;
  sqlite_statement set_incarnation_, add_peer_, set_peer_, free_pages_;
  std::array<sqlite_statement, 2> insert_, erase_, read_;

  std::map<std::string, shelf, std::less<>> peers_;
  std::vector<std::pair<std::string, shelf>> changed_;
  std::uint64_t next_id_ = 1;
  bool erased_ = false;
  bool vacuumed_ = false;
};

}  // namespace detail
}  // namespace ilm
