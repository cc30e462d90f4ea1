// The gradient of a convolution to its filters: for each tap, channel and filter, a sum over all places.
//
// R taps times V vectors of filters are summed in registers over the places of a band, as outer products: a number of
// the images is broadcast, a vector of the gradient read. A band is small enough for the first cache, and its sums are
// added to those of the bands before: so rounding grows with the number of bands, not of places. Bands belong to groups
// by shape alone, one item of work each, and the groups are added up in order: equal bits on any number of threads.
//
// Source: Higham 2002, "Accuracy and stability of numerical algorithms", section 4.2, of sums in blocks.
#pragma once
#include <algorithm>

#include "product.h"
#include "window.h"

namespace cnn {

// Numbers of a band: 24 KiB, of the first cache; 384 KiB where the sums fill that anyhow, and are to be passed seldom
// (3 x 3, 64 channels, 56 x 56: 1.5 times as fast as XLA's, with small bands 1.2 times).
constexpr i64 SMALL_BAND = 6 << 10, LARGE_BAND = 96 << 10, MANY_SUMS = 8 << 10;
constexpr i64 MOST_GROUPS = 16, MOST_SUMS = 8 << 20;

struct Grid {  // steps of a sum, in rows, and how far apart their factors lie on both sides
  i64 rows, columns, left_row, left_column, right_row, right_column;
};

// sums[r * line + v * LANES + j] += the sum over the grid of left[at[r] + ...] * right[v * LANES + j + ...].
template <int R, int V, class U>
void outer(const U* left, const i64* at, const U* right, const Grid& grid, float* sums, i64 line) {
  Vec sum[R][V] = {};
  for (i64 row = 0; row < grid.rows; ++row) {
    const U* seen[R];
    for (int r = 0; r < R; ++r) seen[r] = left + row * grid.left_row + at[r];
    const U* vectors = right + row * grid.right_row;
    for (i64 column = 0, k = 0; column < grid.columns; ++column, k += grid.left_column, vectors += grid.right_column)
      add_products(sum, seen, k, vectors);
  }
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) store(sums + r * line + v * LANES, load(sums + r * line + v * LANES) + sum[r][v]);
}

// `count` sums, whole vectors of them, over bands of so many output rows: `work(own, n, first, last)` adds those of
// [first, last) of image n. Each group of bands is an item of work with sums of its own.
template <class Work>
const float* sum_over_bands(Pool& pool, const Window& v, i64 rows, i64 count, const Work& work) {
  const i64 bands = (v.ho + rows - 1) / rows, items = v.n * bands;
  const i64 groups = std::clamp<i64>(items, 1, std::clamp<i64>(MOST_SUMS / count, 2, MOST_GROUPS));
  float* const sums = scratch<SUMS>(groups * count);
  parallel(pool, groups, [&](i64 group) {
    float* const own = sums + group * count;
    std::fill_n(own, count, 0.0f);
    for (i64 item = group * items / groups; item < (group + 1) * items / groups; ++item) {
      const i64 first = item % bands * rows;
      work(own, item / bands, first, std::min(v.ho, first + rows));
    }
  });
  parallel(pool, (count + SMALL_BAND - 1) / SMALL_BAND, [&](i64 part) {
    for (i64 k = part * SMALL_BAND; k < std::min(count, (part + 1) * SMALL_BAND); k += LANES) {
      Vec total = load(sums + k);
      for (i64 group = 1; group < groups; ++group) total += load(sums + group * count + k);
      store(sums + k, total);
    }
  });
  return sums;
}

// x: [n, h, w, c]; g: [n, ho, wo, o]; dkernel: [kh, kw, c, o].
template <class T>
void to_filters(Pool& pool, const Window& v, const T* x, const T* g, i64 o, T* dkernel) {
  const i64 taps = v.kh * v.kw * v.c, vectors = (o + LANES - 1) / LANES, line = vectors * LANES, run = v.kw * v.c;
  const i64 wide = ((v.wo - 1) * v.sw + v.kw) * v.c;
  const i64 budget = taps * line > MANY_SUMS ? LARGE_BAND : SMALL_BAND;
  const i64 rows = rows_of_band(v, v.sh * wide + v.wo * line, budget);
  const float* const sums = sum_over_bands(pool, v, rows, taps * line, [&](float* own, i64 n, i64 first, i64 last) {
    const auto seen = band<float>(v, x, v.c, n, first, last);
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
    for (i64 vector = 0; vector < vectors; vector += WIDEST)
      in_registers(taps, std::min<i64>(WIDEST, vectors - vector), [&](i64 start, auto R, auto V) {
        i64 at[R];
        for (i64 r = 0; r < R; ++r) at[r] = (start + r) / run * seen.line + (start + r) % run;
        outer<R, V>(seen.at, at, gradient + vector * LANES, grid, own + start * line + vector * LANES, line);
      });
  });
  parallel(pool, v.kh * v.kw, [&](i64 tap) {
    for (i64 k = tap * v.c; k < (tap + 1) * v.c; ++k)
      for (i64 j = 0; j < o; j += LANES) store(dkernel + k * o + j, load(sums + k * line + j), o - j);
  });
}

}  // namespace cnn
