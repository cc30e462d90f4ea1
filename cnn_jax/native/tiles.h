// Products by tiles: AMX multiplies 16 places by 16 filters, 32 numbers deep, in one instruction.
//
// A left tile is 16 rows of pairs, each of which may lie anywhere at one distance: neighbouring places of a padded band,
// whatever the stride, so there is still no im2col. A right tile is pairs of vectors of filters as `pack` laid them out.
// Four tiles of sums take two of each side (or four of the left), so that every tile is read for two products: reading
// takes half the time of multiplying. What is 32 numbers deep in a row of taps is divided into even steps, for which
// channels may get zeros beside them. Rows of a tile that are short cost time and no error: no sum sees another's row.
//
// Source: Intel 2023, "64 and IA-32 architectures optimization reference manual", chapter 20.
#pragma once
#include <algorithm>

#include "product.h"

namespace cnn {

constexpr i64 TILE = 16;  // rows, pairs of a row, or sums of a row, at most

// Into how few even steps of at most a tile's depth so many pairs can be divided.
inline i64 steps_of(i64 pairs) {
  i64 steps = std::max<i64>((pairs + TILE - 1) / TILE, 1);
  while (pairs % steps) ++steps;
  return steps;
}

// The least number, not under `least`, so many times which are divided into the fewest steps.
inline i64 even_depth(i64 least, i64 times) {
  i64 best = least;
  for (i64 more = least + 1; more < least + TILE; ++more)
    if (steps_of(more * times) < steps_of(best * times)) best = more;
  return best;
}

// For the calling thread, until it goes: left tiles of so many rows, and so many pairs deep.
struct Tiles {
  i64 rows, step;

  Tiles(i64 rows, i64 pairs) : rows(rows), step(std::max<i64>(pairs / steps_of(pairs), 1)) {
    TileShapes shapes{};
    for (int sum = 0; sum < 4; ++sum) shapes.set(sum, rows, TILE * 4);
    for (int left = 4; left < 6; ++left) shapes.set(left, rows, step * 4);
    for (int right = 6; right < 8; ++right) shapes.set(right, step, TILE * 4);
    configure_tiles(shapes);
  }
  ~Tiles() { release_tiles(); }
};

// sums[m * rows + r][n * 16 + j] (+)= the sum over k of left[m][r * row + k] * right[k * line + n * 16 + j].
template <int M, int N>
void tile_products(const Tiles& tiles, const Pair* const* left, i64 row, const Runs& runs, const Pair* right, i64 line,
                   float* sums, i64 sums_line, bool add) {
  const auto sum = [&](int i) { return sums + i / N * tiles.rows * sums_line + i % N * TILE; };
  each<M * N>([&](auto i) { add ? load_tile<i>(sum(i), sums_line * 4) : clear_tile<i>(); });
  for (i64 run = 0; run < runs.count; ++run)
    for (i64 k = 0; k < runs.length; k += tiles.step, right += tiles.step * line)
      each<M>([&](auto m) {
        constexpr int first = m * N, seen = 4 + m % 2;
        load_tile<seen>(left[m] + run * runs.line + k, row * 4);
        each<N>([&](auto n) {
          if (first == 0) load_tile<6 + n>(right + n * TILE, line * 4);
          multiply_tiles<first + n, seen, 6 + n>();
        });
      });
  each<M * N>([&](auto i) { store_tile<i>(sum(i), sums_line * 4); });
}

using TileProducts = void (*)(const Tiles&, const Pair* const*, i64, const Runs&, const Pair*, i64, float*, i64, bool);

// For two vectors of the right side or one, and up to two or four left tiles.
inline TileProducts tile_products_of(i64 left, i64 vectors) {
  static constexpr TileProducts all[] = {tile_products<1, 1>, tile_products<2, 1>, tile_products<3, 1>, tile_products<4, 1>,
                                         tile_products<1, 2>, tile_products<2, 2>};
  return all[(vectors == 2 ? 4 : 0) + left - 1];
}

// Places `apart` from each other, `wide` of them in a row and `count` in all, times the vectors of one panel.
inline void products_by_tiles(const Pair* images, const i64* places, const i64* results, i64 count, i64 wide, i64 apart,
                              const Runs& runs, const Pair* panel, i64 vectors, bf16* y, i64 filters) {
  const i64 tiles_of_row = (wide + TILE - 1) / TILE;
  const Tiles tiles((wide + tiles_of_row - 1) / tiles_of_row, runs.length);
  // The last tile of a row ends with it, and computes again what the one before it did where they meet.
  const auto start = [&](i64 tile) {
    return tile / tiles_of_row * wide + std::min(tile % tiles_of_row * tiles.rows, wide - tiles.rows);
  };
  alignas(64) float sums[4 * TILE * TILE];
  for (i64 vector = 0; vector < vectors; vector += 2) {
    const i64 both = std::min<i64>(2, vectors - vector), left = filters - vector * LANES;
    in_tiles(count / wide * tiles_of_row, 4 / both, [&](i64 first, i64 many) {
      const Pair* at[4];
      for (i64 m = 0; m < many; ++m) at[m] = images + places[start(first + m)];
      tile_products_of(many, both)(tiles, at, apart, runs, panel + vector * LANES, vectors * LANES, sums, both * TILE, false);
      for (i64 m = 0; m < many; ++m)
        for (i64 row = 0; row < tiles.rows; ++row)
          for (i64 n = 0; n < both && n * LANES < left; ++n)
            store(y + results[start(first + m) + row] + (vector + n) * LANES,
                  load(sums + ((m * tiles.rows + row) * both + n) * TILE), left - n * LANES);
    });
  }
}

}  // namespace cnn
