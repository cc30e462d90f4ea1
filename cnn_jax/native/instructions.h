// The processor's own products of bfloat16: AVX512_BF16's `vdpbf16ps`, and AMX on tiles that are known when compiling.
//
// A test puts plain loops in their place, for processors that have none. Both round products not at all, sums to float32,
// and take subnormal numbers for zero. Source: Intel, "Architecture instruction set extensions programming reference".
#ifndef CNN_JAX_INSTRUCTIONS
#define CNN_JAX_INSTRUCTIONS
#include "vectors.h"
#ifdef __AVX512BF16__
#include <immintrin.h>
#endif

namespace cnn {

#ifdef __AVX512BF16__
constexpr bool HAS_PAIRS = true;
// sum[i] + a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1], of numbers that lie two in a lane.
inline Vec add_pairs(Vec sum, Bits a, Bits b) { return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b); }
#else
constexpr bool HAS_PAIRS = false;
inline Vec add_pairs(Vec sum, Bits, Bits) { return sum; }  // never called
#endif

#ifdef __AMX_BF16__
constexpr bool HAS_TILES = true;
#else
constexpr bool HAS_TILES = false;
#endif

struct alignas(64) TileShapes {
  uint8_t palette = 1, start = 0, none[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  void set(int tile, i64 some_rows, i64 bytes) { rows[tile] = some_rows, row_bytes[tile] = bytes; }
};

inline void configure_tiles(const TileShapes& shapes) { asm volatile("ldtilecfg %0" ::"m"(shapes)); }
inline void release_tiles() { asm volatile("tilerelease"); }

template <int tile>
void clear_tile() { asm volatile("tilezero %%tmm%c0" ::"i"(tile)); }

template <int tile>
void load_tile(const void* from, i64 row_bytes) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(row_bytes), "i"(tile) : "memory");
}

template <int tile>
void store_tile(void* to, i64 row_bytes) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(row_bytes), "i"(tile) : "memory");
}

template <int sum, int left, int right>
void multiply_tiles() { asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(sum), "i"(left), "i"(right)); }

}  // namespace cnn
#endif
