#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ilm::protocol {

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
  std::span<const std::byte> raw(std::size_t size) noexcept {
    if (size > in_.size()) {
      ok_ = false;
      in_ = {};
      return {};
    }
    std::span<const std::byte> taken = in_.first(size);
    in_ = in_.subspan(size);
    return taken;
  }

 private:
  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace ilm::protocol
