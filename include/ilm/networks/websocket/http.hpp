#pragma once

#include <ilm/networks/websocket/limits.hpp>
#include <ilm/networks/websocket/url.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ilm::inline v0::detail::websocket {

/// Where the head of an HTTP message ends, its empty line included; nothing if it is not whole.
inline std::optional<std::size_t> end_of_head(std::string_view text) noexcept {
  std::size_t end = text.find("\r\n\r\n");
  if (end == text.npos) return std::nullopt;
  return end + 4;
}

/// The head of an HTTP/1.1 message without a body (RFC 9112): three words, and fields.
class http_head {
 public:
  /// Reads a whole head; nothing if it is malformed.
  static std::optional<http_head> parse(std::string_view text) {
    http_head head;
    if (!head.take_first_line(take_line(text))) return std::nullopt;
    while (text != "\r\n") {
      std::string_view line = take_line(text);
      if (head.fields_.size() == maximum_http_fields || !head.take_field(line)) return std::nullopt;
    }
    return head;
  }

  /// Of a request: the method, the target, the version. Of an answer: the version, the status, the
  /// reason, which may be empty or of several words.
  const std::array<std::string, 3>& first_line() const noexcept { return first_line_; }

  /// The value of the only field of this name; nothing if there is none, or there are several.
  std::optional<std::string_view> find(std::string_view lower_name) const {
    std::optional<std::string_view> found;
    for (const auto& [name, value] : fields_) {
      if (name != lower_name) continue;
      if (found) return std::nullopt;
      found = value;
    }
    return found;
  }
  bool has(std::string_view lower_name) const {
    return std::any_of(fields_.begin(), fields_.end(),
                       [&](const auto& f) { return f.first == lower_name; });
  }

  /// Whether `token` stands in the lists of the fields of this name, in any case of letters.
  bool lists(std::string_view lower_name, std::string_view token) const {
    for (const auto& [name, value] : fields_) {
      std::string_view rest = value;
      while (name == lower_name && !rest.empty()) {
        std::size_t comma = std::min(rest.find(','), rest.size());
        if (lowered(trimmed(rest.substr(0, comma))) == token) return true;
        rest.remove_prefix(std::min(comma + 1, rest.size()));
      }
    }
    return false;
  }

 private:
  /// Of a text that ends with the end of a line.
  static std::string_view take_line(std::string_view& text) {
    std::size_t end = text.find("\r\n");
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    return line;
  }

  static std::string_view trimmed(std::string_view text) {
    std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
    std::size_t end = text.find_last_not_of(" \t");
    return text.substr(begin, end == text.npos ? 0 : end + 1 - begin);
  }

  static bool is_text(std::string_view text) {
    return std::none_of(text.begin(), text.end(), [](char c) {
      return (static_cast<unsigned char>(c) < ' ' && c != '\t') || c == 127;
    });
  }
  /// RFC 9110, 5.6.2.
  static bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
      return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
             std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
    });
  }

  bool take_first_line(std::string_view line) {
    std::size_t first = line.find(' ');
    if (first == line.npos || !is_text(line)) return false;
    std::size_t second = std::min(line.find(' ', first + 1), line.size());
    first_line_[0] = line.substr(0, first);
    first_line_[1] = line.substr(first + 1, second - first - 1);
    first_line_[2] = line.substr(std::min(second + 1, line.size()));
    return true;
  }

  bool take_field(std::string_view line) {
    std::size_t colon = line.find(':');
    if (colon == line.npos || !is_token(line.substr(0, colon)) || !is_text(line)) return false;
    fields_.emplace_back(lowered(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    return true;
  }

  std::array<std::string, 3> first_line_;
  std::vector<std::pair<std::string, std::string>> fields_;  ///< names in lower case
};

}  // namespace ilm::inline v0::detail::websocket
