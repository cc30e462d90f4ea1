// Pairs of bfloat16, which some processors multiply two at a time.
//
// A lane of 32 bits holds two neighbours of a sum: two channels of a pixel, or two places of an image row. An instruction
// takes a pair from each side and adds both products to a sum in float32: `vdpbf16ps` for the 16 lanes of a vector, and
// AMX for 16 vectors at once (tiles.h). A number without a neighbour gets a zero beside it. Where a processor has
// neither, numbers are widened as a band is copied: widening both halves of pairs in registers instead took ResNet-20's
// step from 285 to 190 images/s on AVX2.
#pragma once
#include <type_traits>

#include "instructions.h"

namespace cnn {

struct Pair {
  bf16 first, second;
};

// What one step of a sum takes from an array of T.
template <class T>
using Factor = std::conditional_t<std::is_same_v<T, bf16> && HAS_PAIRS, Pair, float>;

// How factors are read into registers, and multiplied there.
inline Vec lanes(const float* p) { return load(p); }
inline Vec everywhere(const float* p) { return splat(*p); }
inline Vec add(Vec sum, Vec a, Vec b) { return sum + a * b; }

inline Bits lanes(const Pair* p) { return read<Bits>(p); }
inline Bits everywhere(const Pair* p) { return read<uint32_t>(p) - Bits{}; }
inline Vec add(Vec sum, Bits a, Bits b) { return add_pairs(sum, a, b); }

// Numbers of an image row, `c` of a pixel, as `deep` factors of each.
template <class T>
void to_factors(float* to, const T* from, i64 pixels, i64 c, i64) { widen(to, from, pixels * c); }
inline void to_factors(Pair* to, const bf16* from, i64 pixels, i64 c, i64 deep) {
  if (c == 2 * deep) {
    memcpy(to, from, pixels * c * sizeof(bf16));
    return;
  }
  for (; pixels > 0; --pixels, from += c, to += deep) {
    Pair* end = to + c / 2;
    memcpy(to, from, c / 2 * sizeof(Pair));
    if (c % 2) *end++ = {from[c - 1], {}};
    while (end < to + deep) *end++ = {};
  }
}

// Two rows of numbers as one of pairs.
inline void zip(Pair* to, const bf16* first, const bf16* second, i64 count) {
  for (i64 i = 0; i < count; ++i) to[i] = {first[i], second[i]};
}

}  // namespace cnn
