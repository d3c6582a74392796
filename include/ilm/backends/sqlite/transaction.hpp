#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

struct sqlite3;

namespace ilm::inline v0 {

namespace detail {
class sqlite_effect_gate;
}  // namespace detail

/// The value of a parameter of SQL. Text and bytes must live until the statement has run.
using sqlite_value = std::variant<std::nullptr_t, std::int64_t, double, std::string_view,
                                  std::span<const std::byte>>;

/// The transaction of a sqlite_backend, for an effect (delivery_context::apply): it records the
/// consumption of the message, on the backend's own connection to the application's database, which
/// needs sqlite_options::table_prefix. It is there while the effect runs, on the store's thread,
/// and no longer. Nothing else is stored meanwhile, so an effect should take well below a
/// millisecond.
///
/// SQL that would end the transaction, attach databases, set pragmas or change ILM's own tables is
/// refused (SQLITE_AUTH), through `handle` as well. Savepoints may be used, and are to be released.
/// Foreign keys are not enforced on this connection, unless SQLite is built so. The connection's
/// settings and hooks are the backend's, and blobs are to be written by SQL.
class sqlite_transaction {
 public:
  sqlite_transaction(const sqlite_transaction&) = delete;
  sqlite_transaction& operator=(const sqlite_transaction&) = delete;

  /// For SQLite's own functions, while the effect runs. Statements that it does not finalize are
  /// reset when it returns.
  sqlite3* handle() const noexcept;

  // Each runs one statement, with `values` for ?1, ?2 and so on, and keeps it prepared for the next
  // time. They throw std::system_error with SQLite's extended code and a text that has the SQL.

  /// Gives the number of rows that it changed.
  std::int64_t run(std::string_view sql, std::initializer_list<sqlite_value> values = {});
  /// The first column of the first row; none if there is no row, or null.
  std::optional<std::int64_t> number(std::string_view sql,
                                     std::initializer_list<sqlite_value> values = {});
  std::optional<std::string> text(std::string_view sql,
                                  std::initializer_list<sqlite_value> values = {});

 private:
  friend detail::sqlite_effect_gate;
  explicit sqlite_transaction(detail::sqlite_effect_gate& gate) noexcept : gate_(gate) {}

  detail::sqlite_effect_gate& gate_;
};

}  // namespace ilm::inline v0
