#pragma once

#include <ilm/backends/sqlite/connection.hpp>
#include <ilm/backends/sqlite/error.hpp>
#include <ilm/backends/sqlite/transaction.hpp>
#include <ilm/effects.hpp>

#include <sqlite3.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <variant>

namespace ilm::inline v0::detail {

/// Lets effects work in the transaction of a store, and keeps them from ending it, and from the
/// store's own tables.
class sqlite_effect_gate {
 public:
  /// `database` outlives the gate; `prefix`: of the names of the store's tables.
  sqlite_effect_gate(const sqlite_connection& database, std::string prefix)
      : database_(database), prefix_(std::move(prefix)) {
    sqlite_check(sqlite3_set_authorizer(database_.get(), &sqlite_effect_gate::authorize, this));
    sqlite3_commit_hook(database_.get(), &sqlite_effect_gate::refuse_commit, this);
    sqlite3_rollback_hook(database_.get(), &sqlite_effect_gate::note_rollback, this);
  }
  sqlite_effect_gate(const sqlite_effect_gate&) = delete;
  sqlite_effect_gate& operator=(const sqlite_effect_gate&) = delete;
  ~sqlite_effect_gate() {
    sqlite3_set_authorizer(database_.get(), nullptr, nullptr);
    sqlite3_commit_hook(database_.get(), nullptr, nullptr);
    sqlite3_rollback_hook(database_.get(), nullptr, nullptr);
  }

  /// Within a transaction. Throws as `effects::apply` does.
  void apply(effects<sqlite_transaction>& all) {
    sqlite_transaction t(*this);
    guard around(*this, all.isolated());
    all.apply(t, around);
  }

  // For an effect.

  sqlite3* handle() const noexcept { return database_.get(); }

  /// Runs a statement; `row` is called with it at its first row.
  template <class Row>
  std::int64_t run(std::string_view sql, std::initializer_list<sqlite_value> values, Row row) {
    sqlite3* database = handle();
    sqlite3_stmt* s = prepared(sql);
    sqlite3_clear_bindings(s);
    int at = 0;
    for (const sqlite_value& v : values) check(bind(s, ++at, v), sql);
    int result = sqlite3_step(s);
    if (result == SQLITE_ROW) row(s);
    while (result == SQLITE_ROW) result = sqlite3_step(s);
    std::int64_t changed = sqlite3_changes64(database);
    if (result == SQLITE_DONE) result = SQLITE_OK;
    std::error_code failed(result == SQLITE_OK ? 0 : sqlite3_extended_errcode(database),
                           sqlite_category());
    std::string text = failed ? text_of(sql) : std::string();
    sqlite3_reset(s);
    if (failed) throw std::system_error(failed, text);
    return changed;
  }

 private:
  static constexpr std::size_t maximum_statements = 64;
  static constexpr std::array<std::string_view, 4> own_tables{"store", "peer", "outbox", "inbox"};
  static constexpr const char* savepoint = "ilm_effect";

  /// A guard of ilm::effects.
  class guard {
   public:
    guard(sqlite_effect_gate& gate, bool isolated) : gate_(gate), isolated_(isolated) {}
    guard(const guard&) = delete;
    guard& operator=(const guard&) = delete;
    /// Before the transaction is rolled back.
    ~guard() {
      gate_.open_ = false;
      gate_.reset_statements();
    }

    void set() {
      if (isolated_) execute("SAVEPOINT ");
      gate_.rolled_back_ = false;
      gate_.open_ = true;
    }
    void release() {
      close();
      if (isolated_) execute("RELEASE ");
    }
    void roll_back() {
      close();
      execute("ROLLBACK TO ");
      execute("RELEASE ");
    }

   private:
    /// SQLite ends a transaction by itself where a disk is full, or at a conflict that is to roll
    /// back. The effect may not have said so, and begun another.
    void close() {
      gate_.open_ = false;
      gate_.reset_statements();
      if (!gate_.rolled_back_ && gate_.database_.in_transaction()) return;
      throw std::system_error(SQLITE_ABORT_ROLLBACK, sqlite_category(),
                              "the transaction ended within an effect");
    }
    void execute(const char* verb) const { gate_.database_.execute(std::string(verb) + savepoint); }

    sqlite_effect_gate& gate_;
    bool isolated_;
  };

  struct finalize {
    void operator()(sqlite3_stmt* s) const noexcept { sqlite3_finalize(s); }
  };

  sqlite3_stmt* prepared(std::string_view sql) {
    auto known = statements_.find(sql);
    if (known != statements_.end()) return known->second.get();
    if (statements_.size() == maximum_statements) statements_.clear();
    sqlite3_stmt* made = nullptr;
    const char* rest = nullptr;
    check(sqlite3_prepare_v3(handle(), sql.data(), static_cast<int>(sql.size()),
                             SQLITE_PREPARE_PERSISTENT, &made, &rest),
          sql);
    std::unique_ptr<sqlite3_stmt, finalize> owned(made);
    std::string_view tail = sql.substr(static_cast<std::size_t>(rest - sql.data()));
    if (made == nullptr || tail.find_first_not_of(" \t\r\n;") != std::string_view::npos) {
      throw std::system_error(SQLITE_MISUSE, sqlite_category(),
                              std::string(sql) + ": not one statement");
    }
    return statements_.emplace(sql, std::move(owned)).first->second.get();
  }

  static int bind(sqlite3_stmt* s, int at, const sqlite_value& value) {
    struct binder {
      int operator()(std::nullptr_t) const { return sqlite3_bind_null(s, at); }
      int operator()(std::int64_t v) const { return sqlite3_bind_int64(s, at, v); }
      int operator()(double v) const { return sqlite3_bind_double(s, at, v); }
      int operator()(std::string_view v) const {
        const char* data = v.empty() ? "" : v.data();
        return sqlite3_bind_text64(s, at, data, v.size(), SQLITE_STATIC, SQLITE_UTF8);
      }
      int operator()(std::span<const std::byte> v) const {
        const void* data = v.empty() ? "" : static_cast<const void*>(v.data());
        return sqlite3_bind_blob64(s, at, data, v.size(), SQLITE_STATIC);
      }

      sqlite3_stmt* s;
      int at;
    };
    return std::visit(binder{s, at}, value);
  }

  void check(int result, std::string_view sql) const {
    if (result == SQLITE_OK) return;
    throw std::system_error(result, sqlite_category(), text_of(sql));
  }
  std::string text_of(std::string_view sql) const {
    return std::string(sql) + ": " + sqlite3_errmsg(database_.get());
  }

  /// A statement that an effect did not run to its end would be in the way of the commit.
  void reset_statements() const noexcept {
    sqlite3* database = database_.get();
    for (sqlite3_stmt* s = sqlite3_next_stmt(database, nullptr); s != nullptr;
         s = sqlite3_next_stmt(database, s)) {
      if (sqlite3_stmt_busy(s) != 0) sqlite3_reset(s);
    }
  }

  /// Whatever an effect does after the end of the transaction is stored by nobody.
  static int refuse_commit(void* self) {
    return static_cast<const sqlite_effect_gate*>(self)->open_ ? 1 : 0;
  }
  static void note_rollback(void* self) {
    auto& gate = *static_cast<sqlite_effect_gate*>(self);
    gate.rolled_back_ = gate.rolled_back_ || gate.open_;
  }

  static int authorize(void* self, int action, const char* first, const char* second, const char*,
                       const char*) {
    const auto& gate = *static_cast<const sqlite_effect_gate*>(self);
    if (!gate.open_) return SQLITE_OK;
    bool sets = action == SQLITE_PRAGMA && second != nullptr;
    return !sets && gate.allows(action, text(first), text(second)) ? SQLITE_OK : SQLITE_DENY;
  }
  static std::string_view text(const char* s) { return s == nullptr ? "" : s; }

  bool allows(int action, std::string_view first, std::string_view second) const {
    switch (action) {
      case SQLITE_TRANSACTION:
      case SQLITE_ATTACH:
      case SQLITE_DETACH:
        return false;
      case SQLITE_SAVEPOINT:
        return in_lower_case(second) != savepoint;
      case SQLITE_INSERT:
      case SQLITE_UPDATE:
      case SQLITE_DELETE:
      case SQLITE_DROP_TABLE:
        return !is_own(first);
      case SQLITE_ALTER_TABLE:
      case SQLITE_CREATE_INDEX:
      case SQLITE_CREATE_TRIGGER:
      case SQLITE_CREATE_TEMP_TRIGGER:
        return !is_own(second);
      default:
        return true;
    }
  }
  static std::string in_lower_case(std::string_view text) {
    auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
    std::string changed(text);
    std::transform(changed.begin(), changed.end(), changed.begin(), lower);
    return changed;
  }
  bool is_own(std::string_view table) const {
    std::string name = in_lower_case(table);
    return std::any_of(own_tables.begin(), own_tables.end(),
                       [&](std::string_view t) { return name == prefix_ + std::string(t); });
  }

  const sqlite_connection& database_;
  std::string prefix_;
  bool open_ = false;         ///< an effect runs
  bool rolled_back_ = false;  ///< and the transaction ended meanwhile
  std::map<std::string, std::unique_ptr<sqlite3_stmt, finalize>, std::less<>> statements_;
};

}  // namespace ilm::inline v0::detail
