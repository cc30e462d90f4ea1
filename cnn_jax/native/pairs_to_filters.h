// The gradient of a convolution in bfloat16 to its filters: two places of an image row to a pair (pairs.h).
//
// The images of a band are written out once for each tap of a row, since a pair that starts at an odd place is another
// than one that starts at an even place: what the taps of a row see of two places is one run of kw * c pairs, whatever the
// stride. Rows of a band lie by their remainder under the stride, so that each row of taps sees one piece of memory, and
// its sums run through the whole band. Filters are rows of the sums, and numbers of a tap their vectors: for tiles, whose
// left rows are to run along the sum, only the gradient has to be turned then, which knows no taps.
#pragma once
#include "tiles.h"
#include "to_filters.h"

namespace cnn {

struct PairedBand {
  i64 rows, deep;              // output rows, and pairs of places that each is long
  i64 rows_of_phase, line;     // image rows of one remainder, and pairs from one pair of places to the next
  const Pair *images, *gradient;

  i64 depth() const { return rows * deep; }
  const Pair* seen_by(i64 a, i64 sh) const { return images + (a % sh * rows_of_phase + a / sh) * deep * line; }
};

// Of the output rows [first, last) of image n.
inline PairedBand paired_band(const Window& v, const bf16* x, const bf16* g, i64 o, i64 filters, i64 line, i64 n, i64 first,
                              i64 last) {
  const i64 rows = last - first, seen = (rows - 1) * v.sh + v.kh, pairs = (v.wo + 1) / 2, most = std::max(v.c, o);
  const i64 deep = HAS_TILES ? even_depth(pairs, rows) : pairs, rows_of_phase = (seen + v.sh - 1) / v.sh;
  bf16* const zeros = scratch<ZEROS, bf16>(most);
  std::fill_n(zeros, most, bf16{});

  Pair* const images = scratch<IMAGES, Pair>(v.sh * rows_of_phase * deep * line);
  for (i64 row = 0; row < seen; ++row) {
    const i64 from = first * v.sh - v.top + row;
    if (row % v.sh >= v.kh) continue;  // between the windows
    const auto pixel = [&](i64 place, i64 tap) {
      const i64 column = place * v.sw + tap - v.left;
      const bool inside = place < v.wo && from >= 0 && from < v.h && column >= 0 && column < v.w;
      return inside ? x + ((n * v.h + from) * v.w + column) * v.c : zeros;
    };
    Pair* to = images + (row % v.sh * rows_of_phase + row / v.sh) * deep * line;
    for (i64 pair = 0; pair < deep; ++pair, to += line) {
      for (i64 b = 0; b < v.kw; ++b) zip(to + b * v.c, pixel(2 * pair, b), pixel(2 * pair + 1, b), v.c);
      std::fill_n(to + v.kw * v.c, line - v.kw * v.c, Pair{});
    }
  }

  Pair* const gradient = scratch<GRADIENTS, Pair>(rows * deep * filters);
  Pair* const row = scratch<TURNED, Pair>(filters);
  std::fill_n(row, filters, Pair{});
  for (i64 i = 0; i < rows * deep; ++i) {
    const auto place = [&](i64 j) { return j < v.wo ? g + ((n * v.ho + first + i / deep) * v.wo + j) * o : zeros; };
    Pair* const to = HAS_TILES ? row : gradient + i * filters;
    zip(to, place(i % deep * 2), place(i % deep * 2 + 1), o);
    if (HAS_TILES) for (i64 f = 0; f < filters; ++f) gradient[f * rows * deep + i] = row[f];
  }
  return {rows, deep, rows_of_phase, line, images, gradient};
}

// sums[f * line + j] += the sum over the band of gradient f times number j of the taps of row a.
inline void add_band(const PairedBand& band, const Pair* seen, i64 filters, float* sums) {
  const i64 line = band.line, depth = band.depth();
  if (HAS_TILES) {
    const Tiles tiles(TILE, depth);
    const Runs runs{1, depth, 0};
    for (i64 column = 0; column < line; column += 2 * TILE) {
      const i64 both = line - column > TILE ? 2 : 1;
      in_tiles(filters / TILE, 4 / both, [&](i64 first, i64 many) {
        const Pair* at[4];
        for (i64 m = 0; m < many; ++m) at[m] = band.gradient + (first + m) * TILE * depth;
        float* const own = sums + first * TILE * line + column;
        tile_products_of(many, both)(tiles, at, depth, runs, seen + column, line, own, line, true);
      });
    }
    return;
  }
  const Grid grid{1, depth, 0, filters, 0, line};
  for (i64 column = 0; column < line; column += WIDEST * LANES)
    in_registers(filters, std::min<i64>(WIDEST, (line - column) / LANES), [&](i64 start, auto R, auto V) {
      i64 at[R];
      for (i64 r = 0; r < R; ++r) at[r] = start + r;
      outer<R, V>(band.gradient, at, seen + column, grid, sums + start * line + column, line);
    });
}

#ifdef __AVX512BF16__
// x: [n, h, w, c]; g: [n, ho, wo, o]; dkernel: [kh, kw, c, o].
inline void to_filters(Pool& pool, const Window& v, const bf16* x, const bf16* g, i64 o, bf16* dkernel) {
  const i64 run = v.kw * v.c, line = (run + LANES - 1) / LANES * LANES, filters = HAS_TILES ? (o + TILE - 1) / TILE * TILE : o;
  const i64 all = v.kh * filters * line, pairs = (v.wo + 1) / 2;
  const i64 rows = rows_of_band(v, pairs * (v.sh * line + filters), all > MANY_SUMS ? LARGE_BAND : SMALL_BAND);
  const float* const sums = sum_over_bands(pool, v, rows, all, [&](float* own, i64 n, i64 first, i64 last) {
    const PairedBand band = paired_band(v, x, g, o, filters, line, n, first, last);
    for (i64 a = 0; a < v.kh; ++a) add_band(band, band.seen_by(a, v.sh), filters, own + a * filters * line);
  });
  parallel(pool, v.kh * line / LANES, [&](i64 item) {
    const i64 a = item * LANES / line, first = item * LANES % line, count = std::min<i64>(LANES, run - first);
    for (i64 f = 0; f < o; ++f) {
      bf16 rounded[LANES];
      store(rounded, load(sums + (a * filters + f) * line + first));
      for (i64 j = 0; j < count; ++j) dkernel[(a * run + first + j) * o + f] = rounded[j];
    }
  });
}
#endif

}  // namespace cnn
