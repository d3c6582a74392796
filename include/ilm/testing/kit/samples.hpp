#pragma once

#include <ilm/message.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

// Contents and peer ids for the kits' stores and frames.

namespace ilm::inline v0::testing::kit {

template <class T>
struct is_byte_array : std::false_type {};
template <class Byte, std::size_t Size>
requires(sizeof(Byte) == 1) struct is_byte_array<std::array<Byte, Size>> : std::true_type {
};

/// Whether `sample_peers` knows ids of this type.
template <class PeerId>
concept has_samples =
    std::same_as<PeerId, std::string> || std::integral<PeerId> || is_byte_array<PeerId>::value;

/// Different ids: two plain ones, then ids that a store is likely to mishandle.
template <has_samples PeerId>
std::vector<PeerId> sample_peers() {
  using namespace std::string_literals;
  if constexpr (std::same_as<PeerId, std::string>) {
    return {"alice",
            "bob",
            "Alice",
            "alice ",
            "ali"s,
            std::string(255, 'x'),
            "a\0b"s,
            "a\0c"s,
            "'; -- \"%s"s,
            "../x/*\\n"s,
            "\xff\xfe\x80"s,
            "\n",
            "\0"s,
            " ",
            "."};
  } else if constexpr (std::integral<PeerId>) {
    using limits = std::numeric_limits<PeerId>;
    return {PeerId(1),
            PeerId(2),
            PeerId(0),
            PeerId(10),
            limits::max(),
            PeerId(limits::max() - 1),
            PeerId(limits::max() / 2)};
  } else {
    std::vector<PeerId> all(5);
    all[0].back() = static_cast<typename PeerId::value_type>(1);
    all[1].back() = static_cast<typename PeerId::value_type>(2);
    all[2].front() = static_cast<typename PeerId::value_type>(1);
    all[3].fill(static_cast<typename PeerId::value_type>(255));
    return all;
  }
}

/// Up to `count` different ids; fewer if the type has no more.
template <has_samples PeerId>
std::vector<PeerId> many_sample_peers(std::size_t count) {
  std::vector<PeerId> all;
  if constexpr (std::same_as<PeerId, std::string>) {
    for (std::size_t i = 0; i < count; ++i) all.push_back("peer " + std::to_string(i));
  } else if constexpr (std::integral<PeerId>) {
    auto most = static_cast<std::uint64_t>(std::numeric_limits<PeerId>::max());
    for (std::uint64_t i = 0; i < count && i <= most; ++i) all.push_back(static_cast<PeerId>(i));
  } else {
    constexpr std::size_t width = sizeof(PeerId);
    for (std::size_t i = 0; i < count && (width > 1 || i < 256); ++i) {
      PeerId& id = all.emplace_back();
      id.fill(static_cast<typename PeerId::value_type>(0));
      id.back() = static_cast<typename PeerId::value_type>(i & 255);
      if (width > 1) id[width - 2] = static_cast<typename PeerId::value_type>(i >> 8);
    }
  }
  return all;
}

/// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014): the
/// same numbers on every run.
class numbers {
 public:
  explicit numbers(std::uint64_t seed = 1) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }

 private:
  std::uint64_t state_;
};

/// `size` bytes that depend on `seed`, after `label`; longer than `size` if `label` is.
inline std::string filled(std::string label, std::size_t size, std::uint64_t seed) {
  numbers random(seed);
  std::size_t at = label.size();
  label.resize(std::max(at, size));
  for (; at < size; at += sizeof(std::uint64_t)) {
    std::uint64_t word = random.next();
    std::memcpy(label.data() + at, &word, std::min(sizeof word, size - at));
  }
  return label;
}

}  // namespace ilm::inline v0::testing::kit
