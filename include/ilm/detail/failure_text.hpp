#pragma once

#include <ilm/detail/failure.hpp>
#include <ilm/printable.hpp>

#include <exception>
#include <new>
#include <string>
#include <system_error>

namespace ilm::inline v0::detail {

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

ILM_INLINE failure failure_of(const std::exception_ptr& thrown) noexcept {
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
