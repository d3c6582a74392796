#pragma once

#include <ilm/backends/sqlite/effect_gate.hpp>
#include <ilm/backends/sqlite/transaction.hpp>
#include <ilm/detail/compiled.hpp>

#include <sqlite3.h>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace ilm::inline v0 {

ILM_INLINE sqlite3* sqlite_transaction::handle() const noexcept { return gate_.handle(); }

ILM_INLINE std::int64_t sqlite_transaction::run(std::string_view sql,
                                                std::initializer_list<sqlite_value> values) {
  return gate_.run(sql, values, [](sqlite3_stmt*) {});
}

ILM_INLINE std::optional<std::int64_t> sqlite_transaction::number(
    std::string_view sql, std::initializer_list<sqlite_value> values) {
  std::optional<std::int64_t> found;
  gate_.run(sql, values, [&](sqlite3_stmt* s) {
    if (sqlite3_column_type(s, 0) != SQLITE_NULL) found = sqlite3_column_int64(s, 0);
  });
  return found;
}

ILM_INLINE std::optional<std::string> sqlite_transaction::text(
    std::string_view sql, std::initializer_list<sqlite_value> values) {
  std::optional<std::string> found;
  gate_.run(sql, values, [&](sqlite3_stmt* s) {
    const unsigned char* t = sqlite3_column_text(s, 0);
    if (t == nullptr) return;
    found.emplace(reinterpret_cast<const char*>(t),
                  static_cast<std::size_t>(sqlite3_column_bytes(s, 0)));
  });
  return found;
}

}  // namespace ilm::inline v0
