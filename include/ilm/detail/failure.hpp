#pragma once

#include <system_error>

namespace ilm::inline v0::detail {

/// The error of an exception, never one that says success: a part may throw a std::system_error
/// with an errno of 0, and a failure that is taken for a success would lose messages.
inline std::error_code failure_of(const std::system_error& thrown) noexcept {
  return thrown.code() ? thrown.code() : std::make_error_code(std::errc::io_error);
}

}  // namespace ilm::inline v0::detail
