#pragma once

#include <ilm/error.hpp>
#include <ilm/printable.hpp>

#include <cstddef>
#include <exception>
#include <new>
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

/// With the text of an exception, if there is memory for it.
inline failure describe_failure(std::error_code code, const char* prefix,
                                const char* text) noexcept {
  failure f(code);
  try {
    if (text == nullptr || *text == '\0') text = "an exception without a text";
    std::string whole = prefix;
    whole += text;
    if (whole != code.message()) f.text = printable_prefix(whole, maximum_failure_text);
  } catch (...) {
    // The code alone has to do.
  }
  return f;
}

/// The failure that an exception tells; none if there is no exception. An error code of the
/// exception is kept. Without one the error is our own: it must neither pass for an error of the
/// system nor, where a std::system_error has the code 0, for a success, which would lose messages.
inline failure failure_of(const std::exception_ptr& thrown) noexcept {
  if (!thrown) return {};
  constexpr error unknown = error::exception_without_code;
  try {
    std::rethrow_exception(thrown);
  } catch (const std::system_error& e) {
    if (e.code()) return describe_failure(e.code(), "", e.what());
    return describe_failure(unknown, "a std::system_error whose code is 0: ", e.what());
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  } catch (const std::exception& e) {
    return describe_failure(unknown, "", e.what());
  } catch (const std::error_code& e) {
    if (e) return e;
    return describe_failure(unknown, "", "a std::error_code that is 0");
  } catch (const std::string& text) {
    return describe_failure(unknown, "", text.c_str());
  } catch (const char* text) {
    return describe_failure(unknown, "", text);
  } catch (...) {
    return describe_failure(unknown, "", "an exception that is no std::exception");
  }
}

}  // namespace ilm::inline v0::detail
