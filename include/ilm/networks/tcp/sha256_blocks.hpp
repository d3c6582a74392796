#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#if defined(__GNUC__) && defined(__x86_64__)
#define ILM_SHA_EXTENSIONS
#include <cpuid.h>
#include <immintrin.h>
#endif

// The compression function of SHA-256 (FIPS 180-4, 6.2.2), in plain C++, and by the instructions
// that most x86 processors of today have for it, which take a seventh of the time.

namespace ilm::inline v0::detail::tcp {

using sha256_state = std::array<std::uint32_t, 8>;
inline constexpr std::size_t sha256_block_size = 64;

alignas(16) inline constexpr std::array<std::uint32_t, 64> sha256_constants{
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

inline void compress_portably(sha256_state& state, const std::byte* block,
                              std::size_t count) noexcept {
  for (; count > 0; --count, block += sha256_block_size) {
    std::array<std::uint32_t, 64> w;
    for (std::size_t i = 0; i < 16; ++i) {
      w[i] = 0;
      for (std::size_t j = 0; j < 4; ++j) {
        w[i] = w[i] << 8 | std::to_integer<std::uint32_t>(block[4 * i + j]);
      }
    }
    for (std::size_t i = 16; i < w.size(); ++i) {
      std::uint32_t a = w[i - 15], b = w[i - 2];
      w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
             (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    auto [a, b, c, d, e, f, g, h] = state;
    for (std::size_t i = 0; i < w.size(); ++i) {
      std::uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                         ((e & f) ^ (~e & g)) + sha256_constants[i] + w[i];
      std::uint32_t t2 =
          (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
      h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const sha256_state mixed{a, b, c, d, e, f, g, h};
    for (std::size_t i = 0; i < mixed.size(); ++i) state[i] += mixed[i];
  }
}

#ifdef ILM_SHA_EXTENSIONS

/// Whether this processor has the instructions of `compress_by_extensions`.
inline bool has_sha_extensions() noexcept {
  static const bool has = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_SSE4_1) != 0;
    return sse41 && __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
  }();
  return has;
}

/// Four rounds, and the four words of the schedule that come sixteen rounds later.
__attribute__((target("sha,sse4.1"))) inline void four_rounds(__m128i& abef, __m128i& cdgh,
                                                              __m128i& w0, __m128i w1, __m128i w2,
                                                              __m128i w3, std::size_t at) noexcept {
  const auto* constants = reinterpret_cast<const __m128i*>(sha256_constants.data());
  __m128i added = _mm_add_epi32(w0, _mm_load_si128(constants + at));
  cdgh = _mm_sha256rnds2_epu32(cdgh, abef, added);
  abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(added, 0x0e));
  __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
  w0 = _mm_sha256msg2_epu32(next, w3);
}

__attribute__((target("sha,sse4.1"))) inline void compress_by_extensions(
    sha256_state& state, const std::byte* block, std::size_t count) noexcept {
  const __m128i byte_order = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
  auto* words = reinterpret_cast<__m128i*>(state.data());
  __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(words), 0xb1);
  __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(words + 1), 0x1b);
  __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
  __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
  for (; count > 0; --count, block += sha256_block_size) {
    const auto* in = reinterpret_cast<const __m128i*>(block);
    __m128i w0 = _mm_shuffle_epi8(_mm_loadu_si128(in), byte_order);
    __m128i w1 = _mm_shuffle_epi8(_mm_loadu_si128(in + 1), byte_order);
    __m128i w2 = _mm_shuffle_epi8(_mm_loadu_si128(in + 2), byte_order);
    __m128i w3 = _mm_shuffle_epi8(_mm_loadu_si128(in + 3), byte_order);
    const __m128i abef_before = abef, cdgh_before = cdgh;
    for (std::size_t at = 0; at < 16; at += 4) {
      four_rounds(abef, cdgh, w0, w1, w2, w3, at);
      four_rounds(abef, cdgh, w1, w2, w3, w0, at + 1);
      four_rounds(abef, cdgh, w2, w3, w0, w1, at + 2);
      four_rounds(abef, cdgh, w3, w0, w1, w2, at + 3);
    }
    abef = _mm_add_epi32(abef, abef_before);
    cdgh = _mm_add_epi32(cdgh, cdgh_before);
  }
  __m128i feba = _mm_shuffle_epi32(abef, 0x1b);
  __m128i dchg = _mm_shuffle_epi32(cdgh, 0xb1);
  _mm_storeu_si128(words, _mm_blend_epi16(feba, dchg, 0xf0));
  _mm_storeu_si128(words + 1, _mm_alignr_epi8(dchg, feba, 8));
}

#endif

inline void compress_sha256(sha256_state& state, const std::byte* block,
                            std::size_t count) noexcept {
#ifdef ILM_SHA_EXTENSIONS
  if (has_sha_extensions()) return compress_by_extensions(state, block, count);
#endif
  compress_portably(state, block, count);
}

}  // namespace ilm::inline v0::detail::tcp

#undef ILM_SHA_EXTENSIONS
