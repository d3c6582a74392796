#pragma once

#include <ilm/error.hpp>
#include <ilm/message.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <vector>

// Codecs that need the standard library only: byte strings and text as they are, integers
// big-endian in their own size, arrays of bytes (a UUID) as they are.

namespace ilm::inline v0 {

namespace detail {

[[noreturn]] inline void throw_undecodable(const char* expected) {
  throw std::system_error(error::undecodable_contents, expected);
}

template <class T>
concept byte_like = std::same_as<T, std::byte> || std::same_as<T, unsigned char> ||
    std::same_as<T, char> || std::same_as<T, signed char>;

/// Converts to bytes by an operator that converts to anything, as a json value does: the codec
/// knows better.
template <class T>
concept rather_encoded = encodable<T> && !requires(const T& value) {
  std::data(value);
};

}  // namespace detail

template <>
struct codec<bytes> {
  static void encode(const bytes& value, std::vector<std::byte>& out) {
    out.insert(out.end(), value.view().begin(), value.view().end());
  }
  static bytes decode(std::span<const std::byte> in) { return bytes(in); }
};

template <>
struct codec<std::string> {
  static void encode(std::string_view value, std::vector<std::byte>& out) {
    auto view = std::as_bytes(std::span(value));
    out.insert(out.end(), view.begin(), view.end());
  }
  static std::string decode(std::span<const std::byte> in) {
    return {reinterpret_cast<const char*>(in.data()), in.size()};
  }
};

template <detail::byte_like Byte>
struct codec<std::vector<Byte>> {
  static void encode(const std::vector<Byte>& value, std::vector<std::byte>& out) {
    auto view = std::as_bytes(std::span(value));
    out.insert(out.end(), view.begin(), view.end());
  }
  static std::vector<Byte> decode(std::span<const std::byte> in) {
    auto first = reinterpret_cast<const Byte*>(in.data());
    return {first, first + in.size()};
  }
};

template <detail::byte_like Byte, std::size_t Size>
struct codec<std::array<Byte, Size>> {
  static void encode(const std::array<Byte, Size>& value, std::vector<std::byte>& out) {
    auto view = std::as_bytes(std::span(value));
    out.insert(out.end(), view.begin(), view.end());
  }
  static std::array<Byte, Size> decode(std::span<const std::byte> in) {
    if (in.size() != Size) detail::throw_undecodable("a byte array has another size");
    std::array<Byte, Size> value{};
    for (std::size_t i = 0; i < Size; ++i) value[i] = static_cast<Byte>(in[i]);
    return value;
  }
};

template <std::integral Integer>
requires(!std::same_as<Integer, bool>) struct codec<Integer> {
  using bits = std::make_unsigned_t<Integer>;

  static void encode(Integer value, std::vector<std::byte>& out) {
    for (std::size_t i = sizeof(Integer); i-- > 0;) {
      out.push_back(static_cast<std::byte>(static_cast<bits>(value) >> (8 * i)));
    }
  }
  static Integer decode(std::span<const std::byte> in) {
    if (in.size() != sizeof(Integer)) detail::throw_undecodable("an integer has another size");
    bits value = 0;
    for (std::byte digit : in) {
      value = static_cast<bits>(static_cast<std::uint64_t>(value) << 8 |
                                std::to_integer<std::uint64_t>(digit));
    }
    return static_cast<Integer>(value);
  }
};

/// The bytes of anything that can be sent: bytes, text, or any type with a codec.
template <class T>
bytes encode(const T& value) {
  if constexpr (std::same_as<T, bytes>) {
    return value;
  } else if constexpr (std::convertible_to<const T&, std::string_view>) {
    return bytes(std::string_view(value));
  } else if constexpr (std::convertible_to<const T&, std::span<const std::byte>> &&
                       !detail::rather_encoded<T>) {
    return bytes(std::span<const std::byte>(value));
  } else {
    std::vector<std::byte> out;
    codec<T>::encode(value, out);
    return bytes(out);
  }
}

/// The contents that send_to accepts.
template <class T>
concept sendable = std::convertible_to<const T&, std::string_view> ||
    std::convertible_to<const T&, std::span<const std::byte>> || encodable<T>;

}  // namespace ilm::inline v0
