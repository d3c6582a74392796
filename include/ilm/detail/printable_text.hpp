#pragma once

#include <ilm/printable.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ilm::inline v0 {

namespace detail {

/// The size of the character that `text` begins with; 0 if it is no UTF-8 (RFC 3629, 4).
inline std::size_t utf8_character_size(std::string_view text) noexcept {
  auto in_range = [text](std::size_t at, unsigned char lowest, unsigned char highest) {
    if (at >= text.size()) return false;
    auto byte = static_cast<unsigned char>(text[at]);
    return byte >= lowest && byte <= highest;
  };
  auto goes_on = [&in_range](std::size_t at) { return in_range(at, 0x80, 0xbf); };
  if (in_range(0, 0x00, 0x7f)) return 1;
  if (in_range(0, 0xc2, 0xdf)) return goes_on(1) ? 2 : 0;
  if (in_range(0, 0xe0, 0xef)) {
    // Neither longer than need be nor half of a UTF-16 pair.
    bool first = text[0] == '\xe0'   ? in_range(1, 0xa0, 0xbf)
                 : text[0] == '\xed' ? in_range(1, 0x80, 0x9f)
                                     : goes_on(1);
    return first && goes_on(2) ? 3 : 0;
  }
  if (in_range(0, 0xf0, 0xf4)) {
    bool first = text[0] == '\xf0'   ? in_range(1, 0x90, 0xbf)
                 : text[0] == '\xf4' ? in_range(1, 0x80, 0x8f)
                                     : goes_on(1);
    return first && goes_on(2) && goes_on(3) ? 4 : 0;
  }
  return 0;
}

/// The code point of one whole character of UTF-8.
inline std::uint32_t code_point(std::string_view character) noexcept {
  std::uint32_t point = static_cast<unsigned char>(character[0]);
  if (character.size() > 1) point &= 0x7fU >> character.size();
  for (std::size_t i = 1; i < character.size(); ++i) {
    point = point << 6 | (static_cast<unsigned char>(character[i]) & 0x3fU);
  }
  return point;
}

/// Whether a character moves the cursor, ends a line, turns the direction of the text around it,
/// or cannot be seen (Unicode's Cc, Zl, Zp, and most of Cf).
inline bool needs_escape(std::uint32_t point) noexcept {
  auto in_range = [point](std::uint32_t lowest, std::uint32_t highest) {
    return point >= lowest && point <= highest;
  };
  // Joiners, 200c and 200d, belong to the spelling of several scripts.
  return in_range(0, 0x1f) || in_range(0x7f, 0x9f) || point == 0x61c || point == 0x200b ||
         in_range(0x200e, 0x200f) || in_range(0x2028, 0x202e) || in_range(0x2060, 0x206f) ||
         point == 0xfeff || in_range(0xfff9, 0xfffb) || in_range(0xe0000, 0xe007f);
}

inline std::string with_digits(std::string escape, std::uint32_t value, unsigned digits) {
  while (digits-- > 0) escape += "0123456789abcdef"[value >> (4 * digits) & 15];
  return escape;
}

/// The escape of a byte: `\x` and two digits.
inline std::string escape_of_byte(unsigned char byte) { return with_digits("\\x", byte, 2); }

/// The escape of a character: as its byte, if it is one; otherwise `\u` and four digits, or `\U`
/// and eight, as a byte of that value is another text.
inline std::string escape_of(std::uint32_t point) {
  if (point == '\n') return "\\n";
  if (point == '\r') return "\\r";
  if (point == '\t') return "\\t";
  if (point <= 0x7f) return escape_of_byte(static_cast<unsigned char>(point));
  return point <= 0xffff ? with_digits("\\u", point, 4) : with_digits("\\U", point, 8);
}

ILM_INLINE std::string printable_prefix(std::string_view text, std::size_t limit,
                                        bool escape_backslash) {
  std::string out;
  while (!text.empty()) {
    std::size_t size = utf8_character_size(text);
    std::string_view character = text.substr(0, size == 0 ? 1 : size);
    text.remove_prefix(character.size());
    std::string shown(character);
    if (size == 0) {
      shown = escape_of_byte(static_cast<unsigned char>(character[0]));
    } else if (needs_escape(code_point(character))) {
      shown = escape_of(code_point(character));
    } else if (escape_backslash && character == "\\") {
      shown = "\\\\";
    }
    if (shown.size() > limit - out.size()) break;
    out += shown;
  }
  return out;
}

}  // namespace detail

ILM_INLINE std::string printable(std::string_view text) {
  return detail::printable_prefix(text, std::string::npos);
}

}  // namespace ilm::inline v0
