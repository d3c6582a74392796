#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace ilm::inline v0::runtime {

/// Numbers of which most are small, or are there before, in as few bytes as that takes. None, or a
/// fixed count of them.
class packed_numbers {
 public:
  static constexpr std::size_t most = 40;

  packed_numbers() = default;
  explicit packed_numbers(std::span<const std::uint64_t> all) {
    assert(!all.empty() && all.size() <= most);
    std::array<std::byte, most*(1 + sizeof(std::uint64_t))> out;
    std::size_t size = 0;
    for (std::size_t i = 0; i < all.size(); ++i) {
      auto before = all.first(i);
      auto same = static_cast<std::size_t>(std::find(before.begin(), before.end(), all[i]) -
                                           before.begin());
      std::size_t tag = size++;
      if (same == i) {
        for (std::uint64_t left = all[i]; left != 0; left >>= 8) {
          out[size++] = static_cast<std::byte>(left);
        }
        same = most + size - tag - 1;
      }
      out[tag] = static_cast<std::byte>(same);
    }
    data_ = std::make_unique<std::byte[]>(size);
    std::copy_n(out.begin(), size, data_.get());
  }

  explicit operator bool() const noexcept { return data_ != nullptr; }

  /// Gives back as many as there were.
  void unpack(std::span<std::uint64_t> all) const noexcept {
    assert(data_);
    const std::byte* in = data_.get();
    for (std::uint64_t& number : all) {
      auto tag = std::to_integer<std::size_t>(*in++);
      number = tag < most ? all[tag] : 0;
      for (std::size_t i = 0; i + most < tag; ++i) {
        number |= std::to_integer<std::uint64_t>(*in++) << (8 * i);
      }
    }
  }

 private:
  /// Of each number a byte: the place of an equal one before it; or `most` and its size, without
  /// the zeros of its high bytes. Then it follows, the low byte first.
  std::unique_ptr<std::byte[]> data_;
};

}  // namespace ilm::inline v0::runtime
