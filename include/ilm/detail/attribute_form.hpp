#pragma once

#include <ilm/attributes.hpp>
#include <ilm/bytes.hpp>
#include <ilm/error.hpp>
#include <ilm/protocol/bounds.hpp>
#include <ilm/protocol/wire.hpp>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

// The encoded form of attributes.

namespace ilm::inline v0 {

namespace detail {

inline bool repeats(std::span<std::string_view> keys) noexcept {
  std::ranges::sort(keys);
  return std::ranges::adjacent_find(keys) != keys.end();
}

}  // namespace detail

ILM_INLINE std::error_code attributes::check(std::span<const std::byte> encoded) noexcept {
  if (encoded.empty()) return {};
  if (encoded.size() > protocol::maximum_attributes_size) return error::malformed_frame;
  protocol::wire_reader in(encoded);
  std::array<std::string_view, protocol::maximum_attributes> keys;
  std::size_t headers = 0;
  bool timed = false;
  for (std::size_t count = 1; in.left() > 0; ++count) {
    auto type = static_cast<attribute_type>(in.number<std::uint8_t>());
    std::span<const std::byte> value = in.raw(in.varint());
    if (!in.ok() || count > protocol::maximum_attributes) return error::malformed_frame;
    if (type < attribute_type::skippable) return error::unknown_attribute;
    if (type == attribute_type::header) {
      if (!is_header(value)) return error::malformed_frame;
      keys[headers++] = key_of(value);
    }
    if (type == attribute_type::sent_at && (value.size() != 8 || std::exchange(timed, true))) {
      return error::malformed_frame;
    }
  }
  return detail::repeats(std::span(keys).first(headers)) ? error::malformed_frame
                                                         : std::error_code();
}

ILM_INLINE std::error_code send_options::encode(
    bytes& encoded, std::optional<attributes::time_point> otherwise) const {
  std::optional<attributes::time_point> at = sent_at ? sent_at : otherwise;
  std::vector<std::byte> out;
  protocol::wire_writer writer(out);
  auto begin = [&writer](attribute_type type, std::size_t size) {
    writer.number(static_cast<std::uint8_t>(type));
    writer.varint(size);
  };
  forwarded.for_each([&](attribute_type type, std::span<const std::byte> value) {
    if (type == attribute_type::sent_at && at) return;
    begin(type, value.size());
    writer.raw(value);
  });
  for (const header& h : headers) {
    if (h.key.size() > protocol::maximum_header_key_size) return error::invalid_attributes;
    begin(attribute_type::header, 1 + h.key.size() + h.value.size());
    writer.number(static_cast<std::uint8_t>(h.key.size()));
    writer.raw(std::as_bytes(std::span(h.key)));
    writer.raw(h.value.view());
  }
  if (at) {
    begin(attribute_type::sent_at, 8);
    writer.number(static_cast<std::uint64_t>(at->time_since_epoch().count()));
  }
  if (attributes::check(out)) return error::invalid_attributes;
  encoded = bytes(out);
  return {};
}

}  // namespace ilm::inline v0
