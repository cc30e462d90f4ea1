// Vectors of float32, as wide as the processor has them, and numbers that are stored in half of that.
//
// Every kernel here is written once, in the vector extensions that GCC and clang share: LANES is 8 with AVX2 and 16 with
// AVX-512, and what an array holds, float32 or bfloat16, is widened where it is read and rounded where it is written.
// So all sums are of float32, and bfloat16 costs a conversion in place of half the speed: the conversions touch each
// number of an array once or twice, the products hundreds of times.
//
// Rounding is to nearest, ties to even, and keeps NaN, as XLA's (IEEE 754-2019, 4.3.1).
#pragma once
#include <cstdint>
#include <cstring>

namespace cnn {

using i64 = int64_t;
struct bf16 {
  uint16_t bits;
};

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
using Vec = float __attribute__((vector_size(LANES * 4)));
using Bits = uint32_t __attribute__((vector_size(LANES * 4)));
using Half = uint16_t __attribute__((vector_size(LANES * 2)));

inline Vec splat(float number) { return number - Vec{}; }  // -0 - 0 is -0, where -0 + 0 is 0

// What lies in memory, as a V.
template <class V>
inline V read(const void* p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline Vec load(const float* p) { return read<Vec>(p); }
inline Vec load(const bf16* p) { return (Vec)(__builtin_convertvector(read<Half>(p), Bits) << 16); }
inline void store(float* p, Vec v) { memcpy(p, &v, sizeof v); }
inline void store(bf16* p, Vec v) {
  const Bits bits = (Bits)v, rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16, quiet = (bits >> 16) | 0x40;
  const Half half = __builtin_convertvector(v == v ? rounded : quiet, Half);
  memcpy(p, &half, sizeof half);
}

// The first `count` numbers of a vector, which an array ends within; zeros behind them.
template <class T>
inline Vec load(const T* p, i64 count) {
  if (count >= LANES) return load(p);
  T some[LANES] = {};
  memcpy(some, p, count * sizeof(T));
  return load(some);
}

template <class T>
inline void store(T* p, Vec v, i64 count) {
  if (count >= LANES) return store(p, v);
  T some[LANES];
  store(some, v);
  memcpy(p, some, count * sizeof(T));
}

// Numbers of an array as float32.
inline float widened(float number) { return number; }
inline float widened(bf16 number) {
  const uint32_t bits = uint32_t(number.bits) << 16;
  return read<float>(&bits);
}
template <class T>
void widen(float* to, const T* from, i64 count) {
  for (i64 i = 0; i < count; ++i) to[i] = widened(from[i]);
}

}  // namespace cnn
