#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ilm::inline v0::protocol {

inline constexpr std::uint64_t maximum_varint = (std::uint64_t{1} << 62) - 1;

/// How many bytes a varint takes.
constexpr std::size_t varint_size(std::uint64_t value) noexcept {
  return value < 1U << 6 ? 1 : value < 1U << 14 ? 2 : value < 1U << 30 ? 4 : 8;
}

/// Appends big-endian numbers and byte strings to a frame.
class wire_writer {
 public:
  explicit wire_writer(std::vector<std::byte>& out) noexcept : out_(out) {}

  template <class Unsigned>
  void number(Unsigned value) {
    std::size_t at = out_.size();
    out_.resize(at + sizeof(Unsigned));
    patch(at, value);
  }
  void raw(std::span<const std::byte> data) { out_.insert(out_.end(), data.begin(), data.end()); }

  /// A number below 2^62, in 1, 2, 4 or 8 bytes (RFC 9000, 16).
  void varint(std::uint64_t value) {
    assert(value <= maximum_varint);
    if (value < 1U << 6) {
      number(static_cast<std::uint8_t>(value));
    } else if (value < 1U << 14) {
      number(static_cast<std::uint16_t>(value | 1U << 14));
    } else if (value < 1U << 30) {
      number(static_cast<std::uint32_t>(value | 2U << 30));
    } else {
      number(value | std::uint64_t{3} << 62);
    }
  }

  template <class Unsigned>
  void patch(std::size_t at, Unsigned value) noexcept {
    store(out_.data() + at, value);
  }

 private:
  template <class Unsigned>
  static void store(std::byte* to, Unsigned value) noexcept {
    for (std::size_t i = 0; i < sizeof value; ++i) {
      to[i] = static_cast<std::byte>(value >> (8 * (sizeof value - 1 - i)));
    }
  }

  std::vector<std::byte>& out_;
};

/// Reads the output of a wire_writer. Past the end it reads zeros and is no longer `ok`.
class wire_reader {
 public:
  explicit wire_reader(std::span<const std::byte> in) noexcept : in_(in) {}

  bool ok() const noexcept { return ok_; }
  std::size_t left() const noexcept { return in_.size(); }

  template <class Unsigned>
  Unsigned number() noexcept {
    std::span<const std::byte> digits = raw(sizeof(Unsigned));
    Unsigned value = 0;
    for (std::byte digit : digits) {
      value = static_cast<Unsigned>(static_cast<std::uint64_t>(value) << 8 |
                                    std::to_integer<std::uint64_t>(digit));
    }
    return value;
  }
  /// Any of the forms that hold the number, the shortest or not.
  std::uint64_t varint() noexcept {
    std::span<const std::byte> head = raw(1);
    if (head.empty()) return 0;
    unsigned first = std::to_integer<unsigned>(head[0]);
    std::uint64_t value = first & 0x3f;
    for (std::byte digit : raw((std::size_t{1} << (first >> 6)) - 1)) {
      value = value << 8 | std::to_integer<std::uint64_t>(digit);
    }
    return ok_ ? value : 0;
  }
  std::span<const std::byte> raw(std::uint64_t size) noexcept {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    std::span<const std::byte> taken = in_.first(static_cast<std::size_t>(size));
    in_ = in_.subspan(static_cast<std::size_t>(size));
    return taken;
  }

 private:
  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace ilm::inline v0::protocol
