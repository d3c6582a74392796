#pragma once

#include <ilm/backend.hpp>
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
        holder(schema.sql("SELECT holder FROM $store")),
        count_failure(schema.sql("UPDATE $store SET failures = failures + 1 WHERE holder = ?1")),
        set_store(schema.sql("UPDATE $store SET holder = ?1, incarnation = ?2, local = ?3, "
                             "checksum = ?4")),
        add_peer(
            schema.sql("INSERT INTO $peer (id, cursors, checksum, name) VALUES (?1, ?2, ?3, ?4)")),
        set_peer(schema.sql("UPDATE $peer SET cursors = ?2, checksum = ?3 WHERE id = ?1")),
        drop_peer(schema.sql("DELETE FROM $peer WHERE id = ?1")),
        free_pages(database.prepare("PRAGMA freelist_count")) {
    for (queue which : {queue::outbox, queue::inbox}) {
      auto at = static_cast<std::size_t>(which);
      std::string table = table_of(which);
      insert[at] = schema.sql("INSERT INTO " + table + " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)");
      erase[at] = schema.sql("DELETE FROM " + table + " WHERE key BETWEEN ?1 AND ?2");
      read[at] =
          schema.sql("SELECT key, sequence, salt, hash, checksum, contents, attributes FROM " +
                     table + " WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3");
    }
  }

  static std::string table_of(queue which) { return which == queue::outbox ? "$outbox" : "$inbox"; }

  sqlite_statement begin, commit, roll_back, holder, count_failure;
  sqlite_statement set_store, add_peer, set_peer, drop_peer, free_pages;
  std::array<sqlite_statement, 2> insert, erase, read;
};

}  // namespace ilm::inline v0::detail
