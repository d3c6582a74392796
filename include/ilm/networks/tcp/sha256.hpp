#pragma once

#include <ilm/networks/tcp/sha256_blocks.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace ilm::inline v0::detail::tcp {

/// SHA-256 (FIPS 180-4). An object is a value: a copy goes on from where the original was.
class sha256 {
 public:
  static constexpr std::size_t block_size = sha256_block_size;
  using digest = std::array<std::byte, 32>;

  void update(std::span<const std::byte> data) noexcept {
    size_ += data.size();
    if (held_ > 0) {
      std::span<const std::byte> taken = data.first(std::min(data.size(), block_size - held_));
      std::ranges::copy(taken, block_.begin() + static_cast<std::ptrdiff_t>(held_));
      held_ += taken.size();
      data = data.subspan(taken.size());
      if (held_ < block_size) return;
      compress_sha256(state_, block_.data(), 1);
    }
    std::size_t whole = data.size() / block_size;
    compress_sha256(state_, data.data(), whole);
    data = data.subspan(whole * block_size);
    std::ranges::copy(data, block_.begin());
    held_ = data.size();
  }

  /// Nothing may be added then.
  digest finish() noexcept {
    std::uint64_t bits = 8 * size_;
    std::array<std::byte, block_size + 8> padding{std::byte{0x80}};
    std::size_t zeros = (2 * block_size - 1 - 8 - held_) % block_size;
    for (std::size_t i = 0; i < 8; ++i) {
      padding[1 + zeros + i] = static_cast<std::byte>(bits >> (56 - 8 * i));
    }
    update(std::span(padding).first(1 + zeros + 8));
    assert(held_ == 0);
    digest out;
    for (std::size_t i = 0; i < out.size(); ++i) {
      out[i] = static_cast<std::byte>(state_[i / 4] >> (24 - 8 * (i % 4)));
    }
    return out;
  }

 private:
  sha256_state state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, block_size> block_{};
  std::size_t held_ = 0;
  std::uint64_t size_ = 0;
};

/// HMAC-SHA-256 (RFC 2104) under a key of at most a block. An object is a value, as sha256 is.
class hmac_sha256 {
 public:
  explicit hmac_sha256(std::span<const std::byte> key) noexcept {
    assert(key.size() <= sha256::block_size);
    std::array<std::byte, sha256::block_size> block{};
    std::ranges::copy(key, block.begin());
    for (std::byte& b : block) b ^= std::byte{0x36};
    inner_.update(block);
    for (std::byte& b : block) b ^= std::byte{0x36} ^ std::byte{0x5c};
    outer_.update(block);
  }

  void update(std::span<const std::byte> data) noexcept { inner_.update(data); }

  sha256::digest finish() noexcept {
    outer_.update(inner_.finish());
    return outer_.finish();
  }

 private:
  sha256 inner_;
  sha256 outer_;
};

/// The first 32 bytes of HKDF-Expand (RFC 5869, 2.3).
inline sha256::digest hkdf_expand(std::span<const std::byte> key, std::string_view info) noexcept {
  hmac_sha256 h(key);
  h.update(std::as_bytes(std::span(info)));
  const std::byte first_block{1};
  h.update(std::span(&first_block, 1));
  return h.finish();
}

}  // namespace ilm::inline v0::detail::tcp
