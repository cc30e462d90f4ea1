// The gradient of a convolution to its filters: for each tap, channel and filter, a sum over all places.
//
// R taps times V vectors of filters are summed in registers over the places of a band, as outer products: a number of
// the images is broadcast, a vector of the gradient read. A band is small enough for the first cache, and its sums are
// added to those of the bands before: so rounding grows with the number of bands, not of places. Bands belong to groups
// by shape alone, one item of work each, and the groups are added up in order: equal bits on any number of threads.
//
// Source: Higham 2002, "Accuracy and stability of numerical algorithms", section 4.2, of sums in blocks.
#pragma once
#include <utility>

#include "product.h"
#include "window.h"

namespace cnn {

// Numbers of a band: 24 KiB, of the first cache; 384 KiB where the sums fill that anyhow, and are to be passed seldom
// (3 x 3, 64 channels, 56 x 56: 1.5 times as fast as XLA's, with small bands 1.2 times).
constexpr i64 SMALL_BAND = 6 << 10, LARGE_BAND = 96 << 10, MANY_SUMS = 8 << 10;
constexpr i64 MOST_GROUPS = 16, MOST_SUMS = 8 << 20;

struct Grid {  // places, and how far apart their numbers lie in images and gradient
  i64 rows, columns, image_row, image_column, gradient_row, gradient_column;
};

template <int R, int V>
void outer(const float* images, const i64* taps, const float* gradient, const Grid& grid, float* sums, i64 line) {
  Vec sum[R][V] = {};
  for (i64 row = 0; row < grid.rows; ++row) {
    const float* tap[R];
    for (int r = 0; r < R; ++r) tap[r] = images + row * grid.image_row + taps[r];
    const float* g = gradient + row * grid.gradient_row;
    for (i64 column = 0, at = 0; column < grid.columns; ++column, at += grid.image_column, g += grid.gradient_column)
      add_products(sum, tap, at, g);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + r * line + v * LANES, load(sums + r * line + v * LANES) + sum[r][v]);
}

using Outer = void (*)(const float*, const i64*, const float*, const Grid&, float*, i64);

template <int V, int... R>
Outer outer_of(i64 rows, std::integer_sequence<int, R...>) {
  static constexpr Outer all[] = {outer<R + 1, V>...};
  return all[rows - 1];
}

template <int V = WIDEST>
Outer outer_of(i64 rows, i64 vectors) {
  if constexpr (V > 1)
    if (vectors < V) return outer_of<V - 1>(rows, vectors);
  return outer_of<V>(rows, std::make_integer_sequence<int, most_rows(V)>());
}

// x: [n, h, w, c]; g: [n, ho, wo, o]; dkernel: [kh, kw, c, o].
template <class T>
void to_filters(Pool& pool, const Window& v, const T* x, const T* g, i64 o, T* dkernel) {
  const i64 taps = v.kh * v.kw * v.c, vectors = (o + LANES - 1) / LANES, line = vectors * LANES, run = v.kw * v.c;
  const i64 wide = ((v.wo - 1) * v.sw + v.kw) * v.c;
  const i64 budget = taps * line > MANY_SUMS ? LARGE_BAND : SMALL_BAND;
  const i64 rows = rows_of_band(v, v.sh * wide + v.wo * line, budget), bands = (v.ho + rows - 1) / rows;
  const i64 groups = std::min(v.n * bands, std::clamp<i64>(MOST_SUMS / (taps * line), 2, MOST_GROUPS));
  float* const sums = scratch<SUMS>(groups * taps * line);
  parallel(pool, groups, [&](i64 group) {
    float* const own = sums + group * taps * line;
    std::fill_n(own, taps * line, 0.0f);
    for (i64 item = group * v.n * bands / groups; item < (group + 1) * v.n * bands / groups; ++item) {
      const i64 n = item / bands, first = item % bands * rows, last = std::min(v.ho, first + rows);
      const Band seen = band(v, x, n, first, last);
      const T* from = g + (n * v.ho + first) * v.wo * o;
      const float* gradient;
      if constexpr (std::is_same_v<T, float>) gradient = from;
      if (!std::is_same_v<T, float> || line != o) {
        float* const copy = scratch<GRADIENTS>((last - first) * v.wo * line);
        for (i64 place = 0; place < (last - first) * v.wo; ++place) {
          widen(copy + place * line, from + place * o, o);
          std::fill_n(copy + place * line + o, line - o, 0.0f);
        }
        gradient = copy;
      }
      const Grid grid{last - first, v.wo, v.sh * seen.line, v.sw * v.c, v.wo * line, line};
      for (i64 vector = 0; vector < vectors; vector += WIDEST) {
        const i64 width = std::min<i64>(WIDEST, vectors - vector);
        in_tiles(taps, most_rows(width), [&](i64 start, i64 count) {
          i64 at[MOST_ROWS];
          for (i64 r = 0; r < count; ++r) at[r] = (start + r) / run * seen.line + (start + r) % run;
          outer_of(count, width)(seen.at, at, gradient + vector * LANES, grid, own + start * line + vector * LANES, line);
        });
      }
    }
  });
  parallel(pool, v.kh * v.kw, [&](i64 tap) {
    for (i64 k = tap * v.c; k < (tap + 1) * v.c; ++k)
      for (i64 vector = 0; vector < vectors; ++vector) {
        const float* part = sums + k * line + vector * LANES;
        Vec total = {};
        for (i64 group = 0; group < groups; ++group) total += load(part + group * taps * line);
        store(dkernel + k * o + vector * LANES, total, o - vector * LANES);
      }
  });
}

}  // namespace cnn
