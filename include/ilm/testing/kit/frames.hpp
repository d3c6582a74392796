#pragma once

#include <ilm/testing/kit/samples.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

// The frames that the network kit sends: the first bytes name sender and receiver, and all others
// follow from them, so that the receiver can check a frame by itself.

namespace ilm::inline v0::testing::kit {

/// The first bytes of a frame. `from` and `to` are the factory's numbers of peers.
struct frame_label {
  std::uint32_t from = 0;
  std::uint32_t to = 0;
  std::uint32_t number = 0;
  std::uint32_t size = 0;
  /// The check that sent it.
  std::uint32_t check = 0;
};

inline constexpr std::size_t label_size = 24;

/// A frame of `label.size` bytes, `label_size` at least.
inline std::vector<std::byte> make_frame(const frame_label& label) {
  std::string text = "ILMk";
  for (std::uint32_t value : {label.from, label.to, label.number, label.size, label.check}) {
    for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
  }
  text = filled(std::move(text), label.size, label.number * 31 + label.to);
  auto view = std::as_bytes(std::span(text));
  return {view.begin(), view.end()};
}

/// The label of the frame, if the frame is whole.
inline std::optional<frame_label> read_frame(std::span<const std::byte> frame) {
  if (frame.size() < label_size) return std::nullopt;
  frame_label l;
  std::size_t at = 4;
  for (std::uint32_t* value : {&l.from, &l.to, &l.number, &l.size, &l.check}) {
    for (int i = 0; i < 4; ++i) {
      *value = *value << 8 | std::to_integer<std::uint32_t>(frame[at++]);
    }
  }
  if (l.size != frame.size()) return std::nullopt;
  std::vector<std::byte> whole = make_frame(l);
  if (std::memcmp(whole.data(), frame.data(), frame.size()) != 0) return std::nullopt;
  return l;
}

}  // namespace ilm::inline v0::testing::kit
