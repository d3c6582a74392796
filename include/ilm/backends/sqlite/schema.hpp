#pragma once

#include <ilm/backend.hpp>
#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/options.hpp>
#include <ilm/backends/sqlite/rows.hpp>
#include <ilm/error.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <system_error>

namespace ilm::inline v0::detail {

/// The tables of a sqlite_store in a database: finds or makes them. See store.hpp.
class sqlite_schema {
 public:
  /// Those before, of the time before the first release, knew no hashes, or not whose they were.
  static constexpr std::uint64_t version = 5;
  static constexpr std::uint64_t application_id = 0x494c4d31;

  /// `database` outlives the schema.
  sqlite_schema(const sqlite_connection& database, const std::string& table_prefix)
      : database_(&database),
        in_application_database_(!table_prefix.empty()),
        prefix_(in_application_database_ ? table_prefix : "ilm_") {}

  bool in_application_database() const noexcept { return in_application_database_; }

  /// Of the names of the tables.
  const std::string& prefix() const noexcept { return prefix_; }

  /// Prepares SQL in which $name stands for a table of ours: no temporary one can take its place.
  sqlite_statement sql(std::string text) const {
    for (auto at = text.find('$'); at != std::string::npos; at = text.find('$')) {
      text.replace(at, 1, "main." + prefix_);
    }
    return database_->prepare(text);
  }

  /// Throws std::system_error unless the database is one for ILM, and can be written.
  void check_database() const {
    refuse_read_only_file();
    std::uint64_t application = database_->number("PRAGMA application_id");
    if (in_application_database_ && application == application_id) {
      throw std::system_error(make_error_code(error::invalid_options),
                              "table_prefix: the file is a store of ILM's own; leave it out");
    }
    if (!has_tables()) refuse_used_file(application);
  }

  /// Whether the tables are there. Throws std::system_error if they are of another version, or not
  /// all are there.
  bool has_tables() const {
    bool has_store = has("store");
    if (has_store) refuse_other_version();
    for (const char* other : {"peer", "outbox", "inbox"}) {
      if (has(other) != has_store) throw std::system_error(error::store_corrupt);
    }
    return has_store;
  }

  /// Takes the store until the result is destroyed, by an exclusive transaction on an empty
  /// database beside it that ends with the connection: SQLite knows how to lock a file on every
  /// system, and other connections can still read the store.
  std::unique_ptr<sqlite_connection> lock(const std::string& vfs) const {
    std::string file = sqlite3_db_filename(database_->get(), "main");
    auto lock = std::make_unique<sqlite_connection>(
        file + (in_application_database_ ? "-" + prefix_ : "-") + "lock", vfs);
    try {
      lock->execute("PRAGMA journal_mode=OFF");
      lock->execute("BEGIN EXCLUSIVE");
    } catch (const std::system_error& e) {
      if ((e.code().value() & 0xff) == SQLITE_BUSY) throw std::system_error(error::store_in_use);
      throw;
    }
    return lock;
  }

  void set_up(const sqlite_options& o, durability level) const {
    if (!in_application_database_ && !has_tables()) {
      database_->execute("PRAGMA auto_vacuum=INCREMENTAL");
      database_->execute("PRAGMA application_id=" + std::to_string(application_id));
    }
    // A database of the application's keeps its journal mode.
    if (database_->text(in_application_database_ ? "PRAGMA journal_mode"
                                                 : "PRAGMA journal_mode=WAL") != "wal") {
      throw std::system_error(sqlite_error::not_wal);
    }
    bool media = level == durability::media;
    database_->execute(media ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
    if (media) database_->execute("PRAGMA fullfsync=ON");
    database_->execute("PRAGMA wal_autocheckpoint=" + std::to_string(o.checkpoint_pages));
    database_->execute("PRAGMA journal_size_limit=" + std::to_string(4096ULL * o.checkpoint_pages));
    database_->execute("PRAGMA cache_size=-" + std::to_string(o.cache_kibibytes));
    database_->execute("PRAGMA trusted_schema=OFF");
  }

  /// The bits of a seed that are in the header of a file of ILM's own; not 0.
  static std::uint32_t header_bits_of(std::uint64_t seed) noexcept {
    return static_cast<std::uint32_t>(seed & 0x7ffffffe) | 1;
  }

  /// Makes the tables, if there are none. `seed`: of the new store's checksums.
  void make_tables(std::uint64_t seed) const {
    database_->execute("BEGIN IMMEDIATE");
    // Another connection may have made them meanwhile, where this one has no lock.
    bool made = !has_tables();
    if (made) add_tables(seed);
    database_->execute("COMMIT");
    // From now on a file without tables is damaged, not one whose first start was cut short.
    if (made && !in_application_database_) database_->execute("PRAGMA wal_checkpoint(TRUNCATE)");
  }

 private:
  static constexpr std::uint64_t plausible_version = 1000;

  bool has(const std::string& table) const {
    return database_->number(
               "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = '" + prefix_ +
               table + "' COLLATE NOCASE") != 0;
  }

  void refuse_other_version() const {
    sqlite_statement s = sql("SELECT version FROM $store");
    if (!s.step()) throw std::system_error(error::store_corrupt);
    std::uint64_t found = s.number(0);
    if (found == version) return;
    // A number that no version had or will have, or tables of this one, are damage.
    bool has_seed = database_->number("SELECT count(*) FROM pragma_table_info('" + prefix_ +
                                      "store') WHERE name = 'seed'") != 0;
    if (found == 0 || found > plausible_version || (found < version && has_seed)) {
      throw std::system_error(error::store_corrupt);
    }
    throw std::system_error(found > version ? sqlite_error::newer_version
                                            : sqlite_error::older_version);
  }

  /// SQLite falls back to reading where it may not write.
  void refuse_read_only_file() const {
    if (sqlite3_db_readonly(database_->get(), "main") == 1) {
      throw std::system_error(SQLITE_READONLY, sqlite_category());
    }
  }

  /// A file that is not empty, and not ours, is never new.
  void refuse_used_file(std::uint64_t application) const {
    bool has_schema = database_->number("SELECT count(*) FROM sqlite_schema") != 0;
    if (!in_application_database_ &&
        (has_schema || (application != 0 && application != application_id))) {
      throw std::system_error(sqlite_error::foreign_database);
    }
    // Pages that belong to nothing: the schema is damaged, and looks empty. A first start may have
    // come as far as one page.
    std::uint64_t used =
        database_->number("PRAGMA page_count") - database_->number("PRAGMA freelist_count");
    if (!has_schema && used > 2) throw std::system_error(error::store_corrupt);
  }

  void add_tables(std::uint64_t seed) const {
    sql("CREATE TABLE $store (id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, "
        "seed INTEGER NOT NULL, holder INTEGER NOT NULL, incarnation BLOB NOT NULL, "
        "local BLOB NOT NULL, checksum INTEGER NOT NULL, failures INTEGER NOT NULL)")
        .run();
    sql("CREATE TABLE $peer (id INTEGER PRIMARY KEY, name BLOB NOT NULL, "
        "cursors BLOB NOT NULL, checksum INTEGER NOT NULL)")
        .run();
    for (const char* table : {"$outbox", "$inbox"}) {
      sql("CREATE TABLE " + std::string(table) +
          " (key INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, salt INTEGER NOT NULL, "
          "hash BLOB NOT NULL, time INTEGER NOT NULL, checksum INTEGER NOT NULL, contents BLOB NOT "
          "NULL, "
          "attributes BLOB)")
          .run();
    }
    sqlite_statement row = sql("INSERT INTO $store VALUES (1, ?1, ?2, 0, ?3, ?3, ?4, 0)");
    row.bind(1, version).bind(2, seed).bind(3, std::span<const std::byte>());
    row.bind(4, store_row_checksum(version, seed, 0, {}, {})).run();
    if (in_application_database_) return;
    // In the file's header, by which a log that belongs to another file is known.
    database_->execute("PRAGMA user_version=" + std::to_string(header_bits_of(seed)));
  }

  const sqlite_connection* database_;
  bool in_application_database_;
  std::string prefix_;
};

}  // namespace ilm::inline v0::detail
