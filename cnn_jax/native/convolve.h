// Convolution, and its gradient to the images, which is a convolution of the output's gradient with the flipped filters.
//
// The filters are laid out once a call in panels of one or two vectors, which every thread then reads in order; the
// images come in bands of padded rows (window.h); `product` does the rest. With a stride, the gradient falls apart into
// one convolution of stride 1 for each remainder of a pixel's place under the stride, which no zero takes part in.
#pragma once
#include "product.h"
#include "window.h"

namespace cnn {

constexpr i64 BAND = 1 << 15;  // numbers: 128 KiB, a part of a core's second cache

struct Places {  // where the results go: the first, and the distance of neighbours
  i64 first, image, row, column;
};

struct Panels {
  const float* at;
  i64 outputs, taps_c;

  i64 count() const { return (outputs + WIDEST * LANES - 1) / (WIDEST * LANES); }
  i64 vectors(i64 panel) const { return std::min<i64>(WIDEST, (outputs + LANES - 1) / LANES - panel * WIDEST); }
  const float* panel(i64 i) const { return at + i * taps_c * WIDEST * LANES; }
};

// `filters(to, tap, k, first, count)` writes those numbers of one tap and channel k from output `first` on.
template <class Filters>
Panels pack(Pool& pool, i64 taps, i64 channels, i64 outputs, const Filters& filters) {
  float* const at = scratch<FILTERS>(taps * channels * (outputs + WIDEST * LANES));
  const Panels panels{at, outputs, taps * channels};
  parallel(pool, panels.count(), [&](i64 i) {
    const i64 wide = panels.vectors(i) * LANES, first = i * WIDEST * LANES, count = std::min(wide, outputs - first);
    float* to = at + i * taps * channels * WIDEST * LANES;
    for (i64 tap = 0; tap < taps; ++tap)
      for (i64 k = 0; k < channels; ++k, to += wide) {
        filters(to, tap, k, first, count);
        std::fill_n(to + count, wide - count, 0.0f);
      }
  });
  return panels;
}

template <class T>
void convolve(Pool& pool, const Window& v, const T* x, const Panels& panels, T* y, const Places& to) {
  const i64 wide = ((v.wo - 1) * v.sw + v.kw) * v.c;
  const i64 rows = rows_of_band(v, v.sh * wide, BAND), bands = (v.ho + rows - 1) / rows;
  parallel(pool, v.n * bands, [&](i64 item) {
    const i64 n = item / bands, first = item % bands * rows, last = std::min(v.ho, first + rows);
    const Band seen = band(v, x, n, first, last);
    const i64 count = (last - first) * v.wo;
    i64 *const places = scratch<PLACES, i64>(2 * count), *const results = places + count;
    for (i64 row = first, i = 0; row < last; ++row)
      for (i64 column = 0; column < v.wo; ++column, ++i) {
        places[i] = (row - first) * v.sh * seen.line + column * v.sw * v.c;
        results[i] = to.first + n * to.image + row * to.row + column * to.column;
      }
    const Runs runs{v.kh, v.kw * v.c, seen.line};
    for (i64 i = 0; i < panels.count(); ++i) {
      const i64 vectors = panels.vectors(i), output = i * WIDEST * LANES;
      in_tiles(count, most_rows(vectors), [&](i64 start, i64 rows) {
        product_of<T>(rows, vectors)(seen.at, places + start, runs, panels.panel(i), y + output, results + start, panels.outputs - output);
      });
    }
  });
}

template <class T>
void convolution(Pool& pool, const Window& v, const T* x, const T* kernel, i64 o, T* y) {
  const auto panels = pack(pool, v.kh * v.kw, v.c, o, [&](float* to, i64 tap, i64 k, i64 first, i64 count) {
    widen(to, kernel + (tap * v.c + k) * o + first, count);
  });
  convolve(pool, v, x, panels, y, {0, v.ho * v.wo * o, v.wo * o, o});
}

// One axis of the pixels `remainder`, `remainder + stride`, ...: which taps meet them, and where.
struct Phase {
  i64 size, tap, taps, low;
  Phase(i64 extent, i64 window, i64 stride, i64 pad, i64 remainder)
      : size((extent - remainder + stride - 1) / stride), tap((remainder + pad) % stride),
        taps(std::max<i64>((window - tap + stride - 1) / stride, 0)), low(taps - 1 - (remainder + pad - tap) / stride) {}
};

// g: [n, ho, wo, o]; kernel: [kh, kw, c, o]; dx: [n, h, w, c].
template <class T>
void to_images(Pool& pool, const Window& v, const T* g, const T* kernel, i64 o, T* dx) {
  for (i64 down = 0; down < std::min(v.sh, v.h); ++down)
    for (i64 right = 0; right < std::min(v.sw, v.w); ++right) {
      const Phase rows(v.h, v.kh, v.sh, v.top, down), columns(v.w, v.kw, v.sw, v.left, right);
      const Places places{(down * v.w + right) * v.c, v.h * v.w * v.c, v.sh * v.w * v.c, v.sw * v.c};
      const i64 taps = rows.taps * columns.taps;
      const auto panels = pack(pool, taps, o, v.c, [&](float* to, i64 tap, i64 k, i64 first, i64 count) {
        const i64 a = rows.tap + (rows.taps - 1 - tap / columns.taps) * v.sh;
        const i64 b = columns.tap + (columns.taps - 1 - tap % columns.taps) * v.sw;
        for (i64 i = 0; i < count; ++i) widen(to + i, kernel + ((a * v.kw + b) * v.c + first + i) * o + k, 1);
      });
      // With no tap, a window of one that sees nothing: its sums of no runs are the zeros that belong there.
      convolve(pool, Window{v.n, v.ho, v.wo, o, rows.taps, columns.taps, 1, 1, rows.low, columns.low, rows.size, columns.size},
               g, panels, dx, places);
    }
}

}  // namespace cnn
