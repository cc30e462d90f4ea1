// In place of the processor's own products of bfloat16: what Intel's manual says that each instruction does.
//
// A tile is of the thread, holds what was loaded until it is configured anew, and touches no memory beyond its shape.
#define CNN_JAX_INSTRUCTIONS
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "vectors.h"

namespace cnn {

constexpr bool HAS_PAIRS = true;
#ifdef __AMX_BF16__
constexpr bool HAS_TILES = true;
#else
constexpr bool HAS_TILES = false;
#endif

// Both numbers of a lane, widened.
inline Vec first(Bits pairs) { return (Vec)(pairs << 16); }
inline Vec second(Bits pairs) { return (Vec)(pairs & 0xffff0000u); }
inline Vec add_pairs(Vec sum, Bits a, Bits b) { return sum + first(a) * first(b) + second(a) * second(b); }

struct TileShapes {
  int64_t rows[8] = {}, bytes[8] = {};
  void set(int tile, int64_t some_rows, int64_t some_bytes) { rows[tile] = some_rows, bytes[tile] = some_bytes; }
};

inline void must(bool right) {
  if (right) return;
  std::fprintf(stderr, "an instruction of AMX would have raised an exception\n");
  std::abort();
}

struct Registers {
  bool configured = false;
  TileShapes shapes;
  alignas(64) unsigned char tiles[8][16][64];

  float* sums(int tile) { return reinterpret_cast<float*>(tiles[tile]); }
  const bf16* pairs(int tile) { return reinterpret_cast<const bf16*>(tiles[tile]); }
};
inline thread_local Registers registers;

inline void configure_tiles(const TileShapes& shapes) {
  for (int tile = 0; tile < 8; ++tile) {
    must(shapes.rows[tile] > 0 && shapes.rows[tile] <= 16);
    must(shapes.bytes[tile] > 0 && shapes.bytes[tile] <= 64 && shapes.bytes[tile] % 4 == 0);
  }
  registers.configured = true, registers.shapes = shapes;
  std::memset(registers.tiles, 0, sizeof registers.tiles);
}
inline void release_tiles() { registers.configured = false; }

template <int tile>
void clear_tile() {
  must(registers.configured);
  std::memset(registers.tiles[tile], 0, sizeof registers.tiles[tile]);
}

template <int tile>
void load_tile(const void* from, int64_t row_bytes) {
  clear_tile<tile>();
  for (int64_t row = 0; row < registers.shapes.rows[tile]; ++row)
    std::memcpy(registers.tiles[tile][row], static_cast<const char*>(from) + row * row_bytes, registers.shapes.bytes[tile]);
}

template <int tile>
void store_tile(void* to, int64_t row_bytes) {
  must(registers.configured);
  for (int64_t row = 0; row < registers.shapes.rows[tile]; ++row)
    std::memcpy(static_cast<char*>(to) + row * row_bytes, registers.tiles[tile][row], registers.shapes.bytes[tile]);
}

template <int sum, int left, int right>
void multiply_tiles() {
  const TileShapes& shapes = registers.shapes;
  must(registers.configured && shapes.rows[left] == shapes.rows[sum] && shapes.bytes[right] == shapes.bytes[sum]);
  must(shapes.bytes[left] == shapes.rows[right] * 4);
  for (int64_t row = 0; row < shapes.rows[sum]; ++row)
    for (int64_t column = 0; column < shapes.bytes[sum] / 4; ++column) {
      float& total = registers.sums(sum)[row * 16 + column];
      for (int64_t k = 0; k < 2 * shapes.rows[right]; ++k)
        total += widened(registers.pairs(left)[row * 32 + k]) * widened(registers.pairs(right)[k / 2 * 32 + 2 * column + k % 2]);
    }
}

}  // namespace cnn
