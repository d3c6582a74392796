#pragma once

#include <ilm/bytes.hpp>
#include <ilm/detail/compiled.hpp>
#include <ilm/error.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/wire.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace ilm::inline v0 {

/// A value that the application sets beside the contents of a message: `content-type`,
/// `traceparent`. The key has 1 to 64 bytes.
struct header {
  header(std::string_view k, std::string_view text) : key(k), value(text) {}
  header(std::string_view k, bytes v) : key(k), value(std::move(v)) {}

  std::string key;
  bytes value;

  friend bool operator==(const header&, const header&) = default;
};

/// The number of an attribute. From `skippable` on it is one that a receiver need not understand.
enum class attribute_type : std::uint8_t {
  skippable = 0x80,
  header = 0x81,   ///< the size of the key in a byte, the key, the value
  sent_at = 0x82,  ///< microseconds since 1970 by the sender's clock, 8 bytes, two's complement
};

/// Small typed values beside the contents of a message, in the form in which they travel and are
/// stored: each a type, a length (varint) and a value. Those that this version does not know are
/// kept. At most 32, and 4,096 bytes in all. Cheap to copy: the storage is shared.
class attributes {
 public:
  /// Microseconds by the system's clock.
  using time_point = std::chrono::sys_time<std::chrono::microseconds>;

  attributes() = default;
  /// From the encoded form. Throws std::system_error with the error of `check`.
  explicit attributes(bytes encoded) : encoded_(std::move(encoded)) {
    if (std::error_code e = check(encoded_.view())) throw std::system_error(e);
  }

  bool empty() const noexcept { return encoded_.empty(); }
  const bytes& encoded() const noexcept { return encoded_; }

  /// The value of the header with this key, valid as long as a copy of the attributes is.
  std::optional<std::span<const std::byte>> header(std::string_view key) const noexcept {
    std::optional<std::span<const std::byte>> found;
    for_each_header([&](std::string_view k, std::span<const std::byte> value) {
      if (!found && k == key) found = value;
    });
    return found;
  }
  /// The same as text; empty if there is none.
  std::string_view header_text(std::string_view key) const noexcept {
    std::span<const std::byte> value = header(key).value_or(std::span<const std::byte>());
    return {reinterpret_cast<const char*>(value.data()), value.size()};
  }
  /// All headers, in the order in which they were set.
  std::vector<ilm::header> headers() const {
    std::vector<ilm::header> all;
    for_each_header([&](std::string_view key, std::span<const std::byte> value) {
      all.emplace_back(key, bytes(value));
    });
    return all;
  }
  /// When the message was sent, as the sender's clock claims. No order follows from it.
  std::optional<time_point> sent_at() const noexcept {
    std::optional<time_point> at;
    for_each([&](attribute_type type, std::span<const std::byte> value) {
      if (type != attribute_type::sent_at) return;
      auto count = protocol::wire_reader(value).number<std::uint64_t>();
      at = time_point(std::chrono::microseconds(static_cast<std::int64_t>(count)));
    });
    return at;
  }

  /// Calls `visit(attribute_type, std::span<const std::byte>)` for each, known or not.
  template <class Visitor>
  void for_each(Visitor&& visit) const {
    protocol::wire_reader in(encoded_.view());
    while (in.left() > 0) {
      auto type = static_cast<attribute_type>(in.number<std::uint8_t>());
      visit(type, in.raw(in.varint()));
    }
  }

  /// Whether the bytes are attributes, within the bounds: error::malformed_frame if they are not,
  /// unknown_attribute if there is one that this version would have to understand.
  static std::error_code check(std::span<const std::byte> encoded) noexcept;

  friend bool operator==(const attributes&, const attributes&) = default;

 private:
  static bool is_header(std::span<const std::byte> value) noexcept {
    if (value.empty()) return false;
    auto size = std::to_integer<std::size_t>(value[0]);
    return size >= 1 && size <= protocol::maximum_header_key_size && size < value.size();
  }
  static std::string_view key_of(std::span<const std::byte> value) noexcept {
    auto size = std::to_integer<std::size_t>(value[0]);
    return {reinterpret_cast<const char*>(value.data()) + 1, size};
  }
  /// Calls `visit(std::string_view key, std::span<const std::byte> value)` for each.
  template <class Visitor>
  void for_each_header(Visitor&& visit) const {
    for_each([&](attribute_type type, std::span<const std::byte> value) {
      if (type != attribute_type::header) return;
      std::string_view key = key_of(value);
      visit(key, value.subspan(1 + key.size()));
    });
  }

  bytes encoded_;
};

/// What goes with a message besides its contents. A key occurs once, in those forwarded as well.
struct send_options {
  std::vector<ilm::header> headers = {};
  /// Shown to the receiver as what the sender claims; options::stamp_sent_at sets it for all.
  std::optional<attributes::time_point> sent_at = {};
  /// Those of a message that is handed on: they go with it, before those above. A time of sending
  /// among them gives way to one of this send.
  ilm::attributes forwarded = {};

  bool empty() const noexcept { return headers.empty() && !sent_at && forwarded.empty(); }

  /// Gives the encoded form, or error::invalid_attributes beyond the bounds. `otherwise` is the
  /// time of sending if `sent_at` is none.
  std::error_code encode(bytes& encoded,
                         std::optional<attributes::time_point> otherwise = {}) const;
};

}  // namespace ilm::inline v0

#ifndef ILM_COMPILED
#include <ilm/detail/attribute_form.hpp>
#endif
