#pragma once

#include <ilm/message.hpp>

#include <concepts>

namespace ilm::detail {

/// Says in one line how a type falls short of ilm::peer_identity, once however many parts use it.
/// The conditions are constants, for a compiler explains a concept in many lines more.
template <class PeerId>
struct check_peer_id {
  static constexpr bool is_a_value = std::semiregular<PeerId>;
  static constexpr bool has_equality = std::equality_comparable<PeerId>;
  static constexpr bool has_order = std::totally_ordered<PeerId>;
  static constexpr bool has_codec = encodable<PeerId>;

  static_assert(is_a_value, "the peer id type must have a default constructor and be copyable");
  static_assert(!is_a_value || has_equality,
                "the peer id type lacks operator==; define it, or default operator<=>");
  static_assert(!is_a_value || !has_equality || has_order,
                "the peer id type lacks operator<; define <, <=, > and >=, or default operator<=>");
  static_assert(!is_a_value || !has_order || has_codec,
                "the peer id type lacks a codec; include <ilm/codecs/bytes.hpp> for strings, "
                "integers and byte arrays, or specialise ilm::codec");

  static constexpr bool holds = is_a_value && has_order && has_codec;
};

}  // namespace ilm::detail
