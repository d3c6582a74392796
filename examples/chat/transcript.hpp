#pragma once

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

struct line {
  std::string peer;
  bool own = false;          ///< sent to the peer, or else received from it
  std::uint64_t number = 0;  ///< the sequence of an own line, the index of a received one
  std::string text;
};

/// All lines there ever were, in a table beside ILM's.
class transcript {
 public:
  explicit transcript(const std::string& file) : file_(file) {
    sqlite3* opened = nullptr;
    int result = sqlite3_open(file.c_str(), &opened);
    database_.reset(opened);
    try {
      check(result);
      sqlite3_busy_timeout(opened, 5000);
      prepare_table();
    } catch (const std::runtime_error& e) {
      throw std::runtime_error(std::string(e.what()) + "; check the file, or name another --store");
    }
  }

  /// Durable when it returns. False if the line is there already.
  bool add(const line& l) {
    bind(add_, 1, l.peer);
    sqlite3_bind_int(add_.get(), 2, l.own ? 1 : 0);
    sqlite3_bind_int64(add_.get(), 3, static_cast<sqlite3_int64>(l.number));
    bind(add_, 4, l.text);
    sqlite3_step(add_.get());
    check(sqlite3_reset(add_.get()));
    return sqlite3_changes(database_.get()) > 0;
  }

  /// The last lines, and before them the own ones from `number` on.
  std::vector<line> history(unsigned count, std::uint64_t number) {
    return select("id > (SELECT max(id) FROM chat_line) - " + std::to_string(count) +
                  " OR (own AND number >= " + std::to_string(number) + ")");
  }

  /// The own lines to a peer that come after `number`.
  std::vector<line> own_after(const std::string& peer, std::uint64_t number) {
    return select("own AND peer = '" + peer + "' AND number > " + std::to_string(number));
  }

 private:
  void prepare_table() {
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("CREATE TABLE IF NOT EXISTS chat_line (id INTEGER PRIMARY KEY, peer TEXT, own INTEGER, "
        "number INTEGER, text TEXT, UNIQUE (peer, own, number))");
    add_ = prepare("INSERT OR IGNORE INTO chat_line (peer, own, number, text) VALUES (?, ?, ?, ?)");
  }

  struct closer {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
    void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
  };
  using statement = std::unique_ptr<sqlite3_stmt, closer>;

  std::vector<line> select(const std::string& condition) {
    statement rows = prepare("SELECT peer, own, number, text FROM chat_line WHERE " + condition +
                             " ORDER BY id");
    std::vector<line> found;
    while (sqlite3_step(rows.get()) == SQLITE_ROW) {
      line l;
      l.peer = text(rows, 0);
      l.own = sqlite3_column_int(rows.get(), 1) != 0;
      l.number = static_cast<std::uint64_t>(sqlite3_column_int64(rows.get(), 2));
      l.text = text(rows, 3);
      found.push_back(std::move(l));
    }
    check(sqlite3_reset(rows.get()));
    return found;
  }

  void check(int result) const {
    if (result == SQLITE_OK) return;
    throw std::runtime_error("the transcript in " + file_ + ": " + sqlite3_errmsg(database_.get()));
  }
  void run(const char* sql) {
    check(sqlite3_exec(database_.get(), sql, nullptr, nullptr, nullptr));
  }
  statement prepare(const std::string& sql) {
    sqlite3_stmt* made = nullptr;
    check(sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &made, nullptr));
    return statement(made);
  }
  static void bind(const statement& s, int at, const std::string& value) {
    sqlite3_bind_text(s.get(), at, value.data(), static_cast<int>(value.size()), SQLITE_TRANSIENT);
  }
  static std::string text(const statement& s, int column) {
    const void* found = sqlite3_column_blob(s.get(), column);
    auto size = static_cast<std::size_t>(sqlite3_column_bytes(s.get(), column));
    return found == nullptr ? std::string() : std::string(static_cast<const char*>(found), size);
  }

  std::string file_;
  std::unique_ptr<sqlite3, closer> database_;
  statement add_;
};
