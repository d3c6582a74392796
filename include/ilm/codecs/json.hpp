#pragma once

#include <ilm/codecs/bytes.hpp>
#include <ilm/error.hpp>
#include <ilm/message.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <system_error>
#include <type_traits>
#include <utility>
#include <vector>

// Any type that nlohmann/json converts travels as CBOR (RFC 8949): include this header and send it.

namespace ilm::inline v0 {

/// How deep arrays and objects may lie in one another. nlohmann/json reads, writes and copies them
/// by recursion, so without a bound a message of a few KiB could exhaust the stack of its receiver.
inline constexpr std::size_t maximum_json_depth = 256;

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

inline bool is_within_depth(const nlohmann::json& value, std::size_t levels) {
  if (!value.is_structured()) return true;
  return levels > 0 && std::all_of(value.begin(), value.end(), [levels](const nlohmann::json& v) {
           return is_within_depth(v, levels - 1);
         });
}

/// Builds a value from the findings of nlohmann's reader, as its own builder does, but for the
/// bound on the depth: `false` ends the reading.
class json_builder {
 public:
  using json = nlohmann::json;

  explicit json_builder(json& root) : root_(root) {}

  bool null() { return put(nullptr); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(json::number_integer_t value) { return put(value); }
  bool number_unsigned(json::number_unsigned_t value) { return put(value); }
  bool number_float(json::number_float_t value, const std::string&) { return put(value); }
  bool string(std::string& value) { return put(std::move(value)); }
  bool binary(json::binary_t& value) { return put(std::move(value)); }

  // The announced number of elements is not believed: the reader finds out.
  bool start_object(std::size_t) { return open(json::object()); }
  bool start_array(std::size_t) { return open(json::array()); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    member_ = &(*open_.back())[name];
    return true;
  }

  bool parse_error(std::size_t, const std::string&, const json::exception& e) {
    wrong_ = e.what();
    return false;
  }
  const std::string& wrong() const noexcept { return wrong_; }

 private:
  template <class Value>
  bool put(Value&& value) {
    place() = json(std::forward<Value>(value));
    return true;
  }
  bool open(json empty) {
    if (open_.size() == maximum_json_depth) {
      wrong_ = "arrays and objects lie in one another more than " +
               std::to_string(maximum_json_depth) + " deep";
      return false;
    }
    json& made = place();
    made = std::move(empty);
    open_.push_back(&made);
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  /// Where the next value goes. Open arrays and objects stay in place: only the innermost one
  /// grows.
  json& place() {
    if (open_.empty()) return root_;
    json& around = *open_.back();
    if (around.is_object()) return *member_;
    around.push_back(nullptr);
    return around.back();
  }

  json& root_;
  std::vector<json*> open_;
  json* member_ = nullptr;
  std::string wrong_;
};

inline nlohmann::json read_cbor(std::span<const std::byte> in) {
  auto first = reinterpret_cast<const std::uint8_t*>(in.data());
  nlohmann::json value;
  json_builder builder(value);
  if (!nlohmann::json::sax_parse(first, first + in.size(), &builder,
                                 nlohmann::json::input_format_t::cbor)) {
    throw std::system_error(make_error_code(error::undecodable_contents), builder.wrong());
  }
  return value;
}

}  // namespace detail

/// Encoding throws std::system_error (error::undecodable_contents) where a value is deeper than
/// maximum_json_depth, for no receiver would take it.
template <detail::json_only T>
struct codec<T> {
  static void encode(const T& value, std::vector<std::byte>& out) {
    nlohmann::json json(value);
    if (!detail::is_within_depth(json, maximum_json_depth)) {
      throw std::system_error(make_error_code(error::undecodable_contents),
                              "the value is deeper than ilm::maximum_json_depth");
    }
    std::vector<std::uint8_t> cbor = nlohmann::json::to_cbor(json);
    auto view = std::as_bytes(std::span(cbor));
    out.insert(out.end(), view.begin(), view.end());
  }

  static T decode(std::span<const std::byte> in) {
    nlohmann::json value = detail::read_cbor(in);
    try {
      return value.template get<T>();
    } catch (const nlohmann::json::exception& e) {
      throw std::system_error(make_error_code(error::undecodable_contents), e.what());
    }
  }
};

}  // namespace ilm::inline v0
