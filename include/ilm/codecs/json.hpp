#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>

#include <nlohmann/json.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <vector>

// Any type that nlohmann/json converts travels as CBOR (RFC 8949): include this header and send it.

namespace ilm {

namespace detail {

/// A json value itself: it pretends to convert to nearly anything, a byte string among them.
template <class T>
concept json_value = std::same_as<T, nlohmann::json>;

/// Has to_json and from_json, and no codec that needs less.
template <class T>
concept json_only = json_value<T> ||
    (!(std::integral<T> && !std::same_as<T, bool>)&&!std::same_as<T, bytes> &&
     !std::same_as<T, std::string> && !std::convertible_to<const T&, std::span<const std::byte>> &&
     requires(const T& value, const nlohmann::json& json) {
       nlohmann::json(value);
       { json.template get<T>() } -> std::same_as<T>;
     });

}  // namespace detail

template <detail::json_only T>
struct codec<T> {
  static void encode(const T& value, std::vector<std::byte>& out) {
    std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(nlohmann::json(value));
    auto view = std::as_bytes(std::span(cbor));
    out.insert(out.end(), view.begin(), view.end());
  }

  static T decode(std::span<const std::byte> in) {
    auto first = reinterpret_cast<const std::uint8_t*>(in.data());
    try {
      return nlohmann::json::from_cbor(first, first + in.size()).template get<T>();
    } catch (const nlohmann::json::exception& e) {
      throw std::system_error(make_error_code(error::undecodable_contents), e.what());
    }
  }
};

}  // namespace ilm
