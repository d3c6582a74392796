#pragma once

// The memory that a program takes with operator new: included in one of its files, it replaces that
// operator. Each piece counts a word for malloc, as glibc takes, and is rounded up as there.

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace test {

inline std::atomic<std::size_t> bytes_in_use{0};
inline std::atomic<std::size_t> pieces_taken{0};  ///< since the beginning

namespace detail {

/// In front of each piece, which stays aligned.
inline constexpr std::size_t size_word = alignof(std::max_align_t);

inline std::size_t counted_size(std::size_t size) noexcept {
  return size <= 24 ? 32 : (size + 8 + 15) / 16 * 16;
}

}  // namespace detail

}  // namespace test

void* operator new(std::size_t size) {
  std::size_t counted = test::detail::counted_size(size);
  void* taken = std::malloc(size + test::detail::size_word);
  if (taken == nullptr) throw std::bad_alloc();
  *static_cast<std::size_t*>(taken) = counted;
  test::bytes_in_use += counted;
  ++test::pieces_taken;
  return static_cast<char*>(taken) + test::detail::size_word;
}
void operator delete(void* piece) noexcept {
  if (piece == nullptr) return;
  void* taken = static_cast<char*>(piece) - test::detail::size_word;
  test::bytes_in_use -= *static_cast<std::size_t*>(taken);
  std::free(taken);
}
void operator delete(void* piece, std::size_t) noexcept { operator delete(piece); }
