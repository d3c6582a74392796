#pragma once

// Shared by the fuzzers: the input as numbers and bytes, and the report of a finding.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

namespace fuzz {

/// Ends the process, which is how libFuzzer and the replay learn of a finding.
[[noreturn]] inline void fail(const char* what) {
  std::fprintf(stderr, "finding: %s\n", what);
  std::abort();
}

inline void require(bool held, const char* what) {
  if (!held) fail(what);
}

/// The bytes of one run, taken from the front. Past the end it gives zeros, so that a short input
/// is a valid one. Take one thing a statement: compilers order the parts of an expression as they
/// like, and an input must mean the same with each.
class input {
 public:
  explicit input(std::span<const std::byte> in) noexcept : in_(in) {}

  bool empty() const noexcept { return in_.empty(); }

  std::uint8_t byte() noexcept {
    if (in_.empty()) return 0;
    std::uint8_t value = std::to_integer<std::uint8_t>(in_.front());
    in_ = in_.subspan(1);
    return value;
  }
  template <class Unsigned>
  Unsigned number() noexcept {
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) value = value << 8 | byte();
    return static_cast<Unsigned>(value);
  }
  bool coin() noexcept { return (byte() & 1) != 0; }
  /// From 0 to `bound - 1`, out of one byte.
  std::size_t below(std::size_t bound) noexcept { return byte() % bound; }

  std::span<const std::byte> take(std::size_t size) noexcept {
    std::span<const std::byte> taken = in_.first(size < in_.size() ? size : in_.size());
    in_ = in_.subspan(taken.size());
    return taken;
  }
  std::span<const std::byte> rest() noexcept { return take(in_.size()); }

 private:
  std::span<const std::byte> in_;
};

}  // namespace fuzz

/// The entry point of each fuzzer, by libFuzzer's name.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
