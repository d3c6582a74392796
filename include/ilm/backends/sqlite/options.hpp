#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace ilm::inline v0 {

/// Where and how a sqlite_backend keeps its tables.
struct sqlite_options {
  /// Empty: the file is ILM's alone. Otherwise the file is a database of the application's, in WAL
  /// mode, and ILM's tables in it have names that begin so: letters, digits and underscores.
  std::string table_prefix = {};
  /// How long an operation waits for another connection's transaction before it fails.
  std::chrono::milliseconds busy_timeout = std::chrono::seconds(5);
  /// How large the write-ahead log grows before it is worked into the file, in pages of 4 KiB.
  unsigned checkpoint_pages = 1000;
  /// SQLite's page cache, in KiB, up to 2^30.
  unsigned cache_kibibytes = 8 << 10;
  /// The name of the SQLite VFS to use; empty: SQLite's default.
  std::string vfs = {};
};

namespace detail {

inline constexpr std::size_t maximum_table_prefix_size = 64;
inline constexpr std::chrono::hours maximum_busy_timeout{24};
inline constexpr unsigned maximum_checkpoint_pages = 1'000'000;
/// SQLite reads the number as a signed one of 32 bits, and takes a larger one for none.
inline constexpr unsigned maximum_cache_kibibytes = 1U << 30;

}  // namespace detail

/// Says which option of `o` is wrong; empty if none is.
inline std::string validation_error(const sqlite_options& o) {
  const std::string& p = o.table_prefix;
  bool plain = p.find_first_not_of(
                   "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                   "0123456789_") == std::string::npos;
  bool digit_first = !p.empty() && p[0] >= '0' && p[0] <= '9';
  if (!plain || digit_first || p.size() > detail::maximum_table_prefix_size) {
    return "table_prefix (" + p +
           ") must be 1 to 64 letters, digits and underscores, with no "
           "digit first";
  }
  if (p.starts_with("sqlite_")) return "table_prefix: SQLite keeps names with sqlite_ for itself";
  if (o.busy_timeout.count() < 0 || o.busy_timeout > detail::maximum_busy_timeout) {
    return "busy_timeout must be 0 to 24 hours";
  }
  if (o.checkpoint_pages == 0 || o.checkpoint_pages > detail::maximum_checkpoint_pages) {
    return "checkpoint_pages must be 1 to 1,000,000; the log would grow for ever";
  }
  if (o.cache_kibibytes > detail::maximum_cache_kibibytes) {
    return "cache_kibibytes must be at most 2^30 (1 TiB)";
  }
  return {};
}

}  // namespace ilm::inline v0
