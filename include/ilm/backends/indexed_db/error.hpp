#pragma once

#include <string>
#include <system_error>

namespace ilm::inline v0 {

/// Errors of an indexed_db_backend. The text of the exception names the database, and the
/// browser's own error.
enum class indexed_db_error {
  unavailable = 1,
  newer_version,
  foreign_database,
  store_lost,
  taken_over,
  quota_exceeded,
  failed,
};

namespace detail {

class indexed_db_category_impl final : public std::error_category {
 public:
  const char* name() const noexcept override { return "ilm.indexed_db"; }

  std::string message(int value) const override {
    switch (static_cast<indexed_db_error>(value)) {
      case indexed_db_error::unavailable:
        return "there is no IndexedDB, or there are no Web Locks; serve the page by https or from "
               "localhost, and allow it to keep data";
      case indexed_db_error::newer_version:
        return "the database was written by a newer version of ILM, or is not ILM's; load the page "
               "anew, or name another database";
      case indexed_db_error::foreign_database:
        return "the database is not ILM's; name another one";
      case indexed_db_error::store_lost:
        return "the browser or its user has cleared the store; end this messenger and start a new "
               "one, and both sides learn which messages are concerned";
      case indexed_db_error::taken_over:
        return "the store is not as this messenger left it; end it and start a new one";
      case indexed_db_error::quota_exceeded:
        return "the browser gives this site no more space; free some, and sends work again";
      case indexed_db_error::failed:
        return "the browser's database failed; the store goes on when it works again";
    }
    return "unknown error " + std::to_string(value);
  }

  std::error_condition default_error_condition(int value) const noexcept override {
    switch (static_cast<indexed_db_error>(value)) {
      case indexed_db_error::unavailable:
        return std::errc::operation_not_supported;
      case indexed_db_error::taken_over:
        return std::errc::device_or_resource_busy;
      case indexed_db_error::quota_exceeded:
        return std::errc::no_space_on_device;
      case indexed_db_error::failed:
        return std::errc::io_error;
      default:
        return {value, *this};
    }
  }
};

}  // namespace detail

/// The category of indexed_db_error.
inline const std::error_category& indexed_db_category() noexcept {
  static const detail::indexed_db_category_impl category;
  return category;
}

inline std::error_code make_error_code(indexed_db_error e) noexcept {
  return {static_cast<int>(e), indexed_db_category()};
}

}  // namespace ilm::inline v0

template <>
struct std::is_error_code_enum<ilm::indexed_db_error> : std::true_type {};
