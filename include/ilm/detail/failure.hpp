#pragma once

#include <ilm/detail/compiled.hpp>
#include <ilm/error.hpp>

#include <cstddef>
#include <exception>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>

namespace ilm::inline v0::detail {

/// How much of an exception's text is kept, in bytes.
inline constexpr std::size_t maximum_failure_text = 512;

template <class T>
concept error_enum = std::is_error_code_enum_v<T>;

/// Why an operation of one of the messenger's parts failed: an error for programs, and a text for
/// people. The text is empty where the message of the error says the same.
struct failure {
  failure() = default;
  failure(std::error_code c) noexcept : code(c) {}
  failure(std::error_code c, std::string t) noexcept : code(c), text(std::move(t)) {}
  template <error_enum Enum>
  failure(Enum value) noexcept : code(value) {}

  /// Whether something failed.
  explicit operator bool() const noexcept { return static_cast<bool>(code); }

  std::error_code code;
  std::string text;
};

/// The failure that an exception tells; none if there is no exception. An error code of the
/// exception is kept. Without one the error is our own: it must neither pass for an error of the
/// system nor, where a std::system_error has the code 0, for a success, which would lose messages.
ILM_INLINE failure failure_of(const std::exception_ptr& thrown) noexcept;

}  // namespace ilm::inline v0::detail

#ifndef ILM_COMPILED
#include <ilm/detail/failure_text.hpp>
#endif
