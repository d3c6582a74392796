#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace ilm::inline v0::detail {

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

/// As many of the first characters of `text` as fit into `limit` bytes, with a `?` for each byte
/// that is no UTF-8: a JSON form needs UTF-8.
inline std::string utf8_prefix(std::string_view text, std::size_t limit) {
  std::string prefix;
  while (!text.empty()) {
    std::size_t size = utf8_character_size(text);
    std::string_view character = size == 0 ? std::string_view("?") : text.substr(0, size);
    if (prefix.size() + character.size() > limit) break;
    prefix += character;
    text.remove_prefix(character.size());
  }
  return prefix;
}

}  // namespace ilm::inline v0::detail
