#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace torture {

/// SplitMix64: scatters numbers that are close to each other.
constexpr std::uint64_t mixed(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

/// The contents of one message: its id, and a filling of which each byte follows from the id, so
/// that the receiver can tell whether it is intact. Mostly small; one in 300 has up to 120 KB.
class payload {
 public:
  payload(std::uint8_t from, std::uint8_t to, std::uint64_t id)
      : id_(id), key_(mixed(id * 256 + from * 16u + to)) {}

  std::vector<std::byte> contents() const {
    std::vector<std::byte> out(sizeof id_ + size());
    std::memcpy(out.data(), &id_, sizeof id_);
    fill(std::span(out).subspan(sizeof id_));
    return out;
  }

  bool matches(std::span<const std::byte> contents) const {
    if (contents.size() != sizeof id_ + size()) return false;
    std::vector<std::byte> expected = this->contents();
    return std::equal(expected.begin(), expected.end(), contents.begin());
  }

  /// 0 if there is none.
  static std::uint64_t id_of(std::span<const std::byte> contents) {
    std::uint64_t id = 0;
    if (contents.size() >= sizeof id) std::memcpy(&id, contents.data(), sizeof id);
    return id;
  }

 private:
  std::size_t size() const noexcept {
    std::uint64_t kind = key_ % 300;
    std::uint64_t bound = kind == 0 ? 120'000 : kind < 10 ? 16'000 : kind < 80 ? 1500 : 64;
    return mixed(key_) % bound;
  }

  void fill(std::span<std::byte> out) const noexcept {
    std::uint64_t word = key_;
    for (std::size_t at = 0; at < out.size(); at += sizeof word) {
      word = mixed(word);
      std::memcpy(out.data() + at, &word, std::min(sizeof word, out.size() - at));
    }
  }

  std::uint64_t id_;
  std::uint64_t key_;
};

}  // namespace torture
