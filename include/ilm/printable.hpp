#pragma once

#include <ilm/detail/compiled.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace ilm::inline v0 {

namespace detail {

/// The largest part of `printable(text)` from its beginning that has up to `limit` bytes and cuts
/// neither a character nor an escape.
ILM_INLINE std::string printable_prefix(std::string_view text, std::size_t limit,
                                        bool escape_backslash = false);

}  // namespace detail

/// Text from outside (a peer's, a file's, an exception's), for people, logs and JSON: one line of
/// UTF-8 that leaves a terminal as it is. Escaped as in C++ are control characters, line breaks,
/// characters that turn the direction of text or cannot be seen, and bytes that are no UTF-8:
/// `\x85` is a byte, `\u0085` a character. What is printable already stays as it is, so that it may
/// be called twice.
ILM_INLINE std::string printable(std::string_view text);

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/detail/printable_text.hpp>
#endif
