#pragma once

#include <chrono>
#include <string>

namespace ilm::inline v0 {

/// How an indexed_db_backend opens its database.
struct indexed_db_options {
  /// How long to wait for another page's or worker's lock before the store is in use: one that is
  /// just being reloaded or closed gives it up a moment later. Up to a minute.
  std::chrono::milliseconds lock_wait = std::chrono::seconds(2);
};

namespace detail {

inline constexpr std::chrono::minutes maximum_lock_wait{1};

}  // namespace detail

/// Says which option of `o` is wrong; empty if none is.
inline std::string validation_error(const indexed_db_options& o) {
  if (o.lock_wait.count() < 0 || o.lock_wait > detail::maximum_lock_wait) {
    return "lock_wait must be 0 to 60 seconds";
  }
  return {};
}

}  // namespace ilm::inline v0
