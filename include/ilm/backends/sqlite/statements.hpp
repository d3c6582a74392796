#pragma once

#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/schema.hpp>

#include <array>
#include <cstddef>
#include <string>

namespace ilm::inline v0::detail {

/// The statements of a sqlite_store, prepared once. Arrays are by queue: outbox, inbox.
struct sqlite_statements {
  sqlite_statements(const sqlite_connection& database, const sqlite_schema& schema)
      : begin(database.prepare("BEGIN IMMEDIATE")),
        commit(database.prepare("COMMIT")),
        roll_back(database.prepare("ROLLBACK")),
        count_failure(schema.sql("UPDATE $store SET failures = failures + 1")),
        set_incarnation(schema.sql("UPDATE $store SET incarnation = ?1, checksum = ?2")),
        add_peer(
            schema.sql("INSERT INTO $peer (id, cursors, checksum, name) VALUES (?1, ?2, ?3, ?4)")),
        set_peer(schema.sql("UPDATE $peer SET cursors = ?2, checksum = ?3 WHERE id = ?1")),
        free_pages(database.prepare("PRAGMA freelist_count")) {
    const std::array<std::string, 2> tables{"$outbox", "$inbox"};
    for (std::size_t queue = 0; queue < tables.size(); ++queue) {
      const std::string& table = tables[queue];
      insert[queue] =
          schema.sql("INSERT INTO " + table + " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
      erase[queue] = schema.sql("DELETE FROM " + table + " WHERE key BETWEEN ?1 AND ?2");
      read[queue] =
          schema.sql("SELECT key, sequence, salt, hash, checksum, contents, attributes FROM " +
                     table + " WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3");
    }
  }

  sqlite_statement begin, commit, roll_back, count_failure;
  sqlite_statement set_incarnation, add_peer, set_peer, free_pages;
  std::array<sqlite_statement, 2> insert, erase, read;
};

}  // namespace ilm::inline v0::detail
