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

/// The tables of a sqlite_store in a database: makes them, and brings them to the present version.
/// store.hpp describes them.
class sqlite_schema {
 public:
  static constexpr std::uint64_t version = 4;
  /// Those before knew no hashes, from which histories are told apart now.
  static constexpr std::uint64_t first_version = 4;
  static constexpr std::uint64_t application_id = 0x494c4d31;

  /// `database` outlives the schema.
  sqlite_schema(const sqlite_connection& database, const std::string& table_prefix)
      : database_(&database),
        in_application_database_(!table_prefix.empty()),
        prefix_(in_application_database_ ? table_prefix : "ilm_") {}

  bool in_application_database() const noexcept { return in_application_database_; }

  /// Prepares SQL in which $name stands for a table of ours.
  sqlite_statement sql(std::string text) const {
    for (auto at = text.find('$'); at != std::string::npos; at = text.find('$')) {
      text.replace(at, 1, prefix_);
    }
    return database_->prepare(text);
  }

  /// Throws std::system_error unless the database is one for ILM, and can be written.
  void check_database() const {
    refuse_read_only_file();
    refuse_foreign_file();
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
    sqlite_check(sqlite3_busy_timeout(database_->get(), static_cast<int>(o.busy_timeout.count())));
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

  /// Brings the tables to the present version, step by step; a new store has version 0.
  void upgrade() const {
    database_->execute("BEGIN IMMEDIATE");
    std::uint64_t found = 0;
    if (has_tables()) {
      sqlite_statement s = sql("SELECT version FROM $store");
      if (!s.step()) throw std::system_error(error::store_corrupt);
      found = s.number(0);
    }
    if (found > version) throw std::system_error(sqlite_error::newer_version);
    if (found != 0 && found < first_version) throw std::system_error(sqlite_error::older_version);
    if (found == 0) make_tables();
    database_->execute("COMMIT");
  }

 private:
  bool has_tables() const {
    sqlite_statement s = database_->prepare("SELECT count(*) FROM sqlite_schema WHERE name = '" +
                                            prefix_ + "store'");
    return s.step() && s.number(0) != 0;
  }

  /// SQLite falls back to reading where it may not write.
  void refuse_read_only_file() const {
    if (sqlite3_db_readonly(database_->get(), "main") == 1) {
      throw std::system_error(SQLITE_READONLY, sqlite_category());
    }
  }

  void refuse_foreign_file() const {
    if (in_application_database_ || has_tables()) return;
    std::uint64_t application = database_->number("PRAGMA application_id");
    if ((application != 0 && application != application_id) ||
        database_->number("SELECT count(*) FROM sqlite_schema") != 0) {
      throw std::system_error(sqlite_error::foreign_database);
    }
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
          " (key INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, salt INTEGER NOT NULL, "
          "hash BLOB NOT NULL, time INTEGER NOT NULL, checksum INTEGER NOT NULL, contents BLOB NOT "
          "NULL, "
          "attributes BLOB)")
          .run();
    }
    sql("INSERT INTO $store (id, version, failures) VALUES (1, " + std::to_string(version) + ", 0)")
        .run();
  }

  const sqlite_connection* database_;
  bool in_application_database_;
  std::string prefix_;
};

}  // namespace ilm::inline v0::detail
