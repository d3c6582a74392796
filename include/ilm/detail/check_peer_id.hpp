#pragma once

#include <ilm/message.hpp>

#include <concepts>

// How a type falls short of ilm::peer_identity, each in one line, and once however many parts use
// the type. The conditions are constants, for a compiler explains a concept in many lines more.

namespace ilm::inline v0::detail {

template <class PeerId>
inline constexpr bool is_a_value = std::semiregular<PeerId>;
template <class PeerId>
inline constexpr bool has_equality = !is_a_value<PeerId> || std::equality_comparable<PeerId>;
template <class PeerId>
inline constexpr bool has_order = !has_equality<PeerId> || std::totally_ordered<PeerId>;
template <class PeerId>
inline constexpr bool has_codec = encodable<PeerId>;

/// The values of a peer id can be kept and ordered.
template <class PeerId>
inline constexpr bool is_ordered_id = std::semiregular<PeerId>&& std::totally_ordered<PeerId>;

template <class PeerId>
struct assert_ordered_id {
  static_assert(is_a_value<PeerId>,
                "the peer id type must have a default constructor and be copyable");
  static_assert(has_equality<PeerId>,
                "the peer id type lacks operator==; define it, or default operator<=>");
  static_assert(has_order<PeerId>,
                "the peer id type lacks operator<; define <, <=, > and >=, or default operator<=>");
};

/// A peer id that can also travel.
template <class PeerId>
struct assert_peer_id : assert_ordered_id<PeerId> {
  static_assert(has_codec<PeerId>,
                "the peer id type lacks a codec; include <ilm/codecs/bytes.hpp> for strings, "
                "integers and byte arrays, or specialise ilm::codec");
};

}  // namespace ilm::inline v0::detail
