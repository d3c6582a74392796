#pragma once

// POSIX.

#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace example {

/// Whether standard output moves a cursor and erases rows when told to.
inline bool output_is_terminal() {
  const char* kind = std::getenv("TERM");
  return ::isatty(STDOUT_FILENO) != 0 && kind != nullptr && *kind != '\0' &&
         std::string_view(kind) != "dumb";
}

/// Whether it is to have colours (no-color.org).
inline bool output_has_colours() {
  const char* refused = std::getenv("NO_COLOR");
  return output_is_terminal() && (refused == nullptr || *refused == '\0');
}

}  // namespace example
