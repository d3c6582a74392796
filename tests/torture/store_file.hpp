#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace torture {

/// SQLite's own report on a store that no process uses.
struct store_file {
  explicit store_file(const std::filesystem::path& file);

  std::string integrity;     ///< "ok", or the damage
  std::uint64_t outbox = 0;  ///< messages
  std::uint64_t inbox = 0;
};

/// Copies a store that no process uses: the database and its log.
void copy_store(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace torture
