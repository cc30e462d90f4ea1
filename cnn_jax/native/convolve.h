// Convolution, and its gradient to the images, which is a convolution of the output's gradient with the flipped filters.
//
// The filters are laid out once a call in panels of a few vectors, which every thread then reads in order; the images
// come in bands of padded rows (window.h); `product` or tiles do the rest. With a stride, the gradient falls apart into
// one convolution of stride 1 for each remainder of a pixel's place under the stride, which no zero takes part in. The
// gradient that a shortcut adds to it is left to XLA: all such additions take 1.2 % of ResNet-20's step.
#pragma once
#include "tiles.h"
#include "window.h"

namespace cnn {

constexpr i64 BAND = 1 << 15;  // factors: 128 KiB, a part of a core's second cache

struct Places {  // where the results go: the first, and the distance of neighbours
  i64 first, image, row, column;
};

template <class T>
struct Panels {
  const Factor<T>* at;
  i64 taps, deep, outputs;  // deep: factors of a tap

  i64 count() const { return (outputs + WIDEST * LANES - 1) / (WIDEST * LANES); }
  i64 vectors(i64 panel) const { return std::min<i64>(WIDEST, (outputs + LANES - 1) / LANES - panel * WIDEST); }
  const Factor<T>* panel(i64 i) const { return at + i * taps * deep * WIDEST * LANES; }
};

// `filters(tap, k)` points at the number of channel k of a tap for output 0; those of the others are `apart`.
template <class T, class Filters>
Panels<T> pack(Pool& pool, i64 taps, i64 deep, i64 channels, i64 outputs, i64 apart, const Filters& filters) {
  Factor<T>* const at = scratch<FILTERS, Factor<T>>(taps * deep * (outputs + WIDEST * LANES));
  const Panels<T> panels{at, taps, deep, outputs};
  parallel(pool, panels.count(), [&](i64 i) {
    const i64 wide = panels.vectors(i) * LANES, first = i * WIDEST * LANES, count = std::min(wide, outputs - first);
    Factor<T>* to = at + i * taps * deep * WIDEST * LANES;
    for (i64 tap = 0; tap < taps; ++tap)
      for (i64 k = 0; k < deep; ++k, to += wide) {
        std::fill_n(to, wide, Factor<T>{});
        if constexpr (std::is_same_v<Factor<T>, float>) {
          const T* from = filters(tap, k) + first * apart;
          if (apart == 1) widen(to, from, count);
          else for (i64 j = 0; j < count; ++j) to[j] = widened(from[j * apart]);
        } else {
          const T* from = filters(tap, 2 * k) + first * apart;
          const i64 second = filters(tap, 2 * k + 1) - filters(tap, 2 * k);
          if (2 * k < channels) for (i64 j = 0; j < count; ++j) to[j].first = from[j * apart];
          if (2 * k + 1 < channels) for (i64 j = 0; j < count; ++j) to[j].second = from[j * apart + second];
        }
      }
  });
  return panels;
}

// Factors of a pixel where the taps of a row see so many channels of each.
template <class T>
i64 factors_of_pixel(i64 channels, i64 taps) {
  if constexpr (std::is_same_v<Factor<T>, float>) return channels;
  const i64 pairs = (channels + 1) / 2;
  return HAS_TILES ? even_depth(pairs, taps) : pairs;
}

template <class T>
void convolve(Pool& pool, Window v, const T* x, const Panels<T>& panels, T* y, Places to) {
  const i64 all = v.n * v.h * v.w;
  if (HAS_TILES && std::is_same_v<T, bf16> && v.is_pointwise() && to.row == v.wo * to.column && to.image == v.ho * to.row &&
      all > 0 && all % TILE == 0) {  // places in rows of 16, whatever the image: full tiles
    v = {1, all / TILE, TILE, v.c, 1, 1, 1, 1, 0, 0, all / TILE, TILE};
    to = {to.first, 0, TILE * to.column, to.column};
  }
  const i64 deep = panels.deep, wide = ((v.wo - 1) * v.sw + v.kw) * deep;
  const i64 rows = rows_of_band(v, v.sh * wide, BAND), bands = (v.ho + rows - 1) / rows;
  parallel(pool, v.n * bands, [&](i64 item) {
    const i64 n = item / bands, first = item % bands * rows, last = std::min(v.ho, first + rows);
    const auto seen = band<Factor<T>>(v, x, deep, n, first, last);
    const i64 count = (last - first) * v.wo;
    i64 *const places = scratch<PLACES, i64>(2 * count), *const results = places + count;
    for (i64 row = first, i = 0; row < last; ++row)
      for (i64 column = 0; column < v.wo; ++column, ++i) {
        places[i] = (row - first) * v.sh * seen.line + column * v.sw * deep;
        results[i] = to.first + n * to.image + row * to.row + column * to.column;
      }
    const Runs runs{v.kh, v.kw * deep, seen.line};
    for (i64 i = 0; i < panels.count(); ++i) {
      const i64 vectors = panels.vectors(i), output = i * WIDEST * LANES;
      const i64 left = panels.outputs - output;
      if constexpr (HAS_TILES && std::is_same_v<T, bf16>)
        products_by_tiles(seen.at, places, results, count, v.wo, v.sw * deep, runs, panels.panel(i), vectors, y + output, left);
      else
        in_registers(count, vectors, [&](i64 start, auto R, auto V) {
          product<R, V>(seen.at, places + start, runs, panels.panel(i), y + output, results + start, left);
        });
    }
  });
}

template <class T>
void convolution(Pool& pool, const Window& v, const T* x, const T* kernel, i64 o, T* y) {
  const i64 deep = factors_of_pixel<T>(v.c, v.kw);
  const auto panels = pack<T>(pool, v.kh * v.kw, deep, v.c, o, 1, [&](i64 tap, i64 k) { return kernel + (tap * v.c + k) * o; });
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
      const i64 deep = factors_of_pixel<T>(o, columns.taps);
      const auto panels = pack<T>(pool, rows.taps * columns.taps, deep, o, v.c, o, [&](i64 tap, i64 k) {
        const i64 a = rows.tap + (rows.taps - 1 - tap / columns.taps) * v.sh;
        const i64 b = columns.tap + (columns.taps - 1 - tap % columns.taps) * v.sw;
        return kernel + (a * v.kw + b) * v.c * o + k;
      });
      // With no tap, a window of one that sees nothing: its sums of no runs are the zeros that belong there.
      convolve(pool, Window{v.n, v.ho, v.wo, o, rows.taps, columns.taps, 1, 1, rows.low, columns.low, rows.size, columns.size},
               g, panels, dx, places);
    }
}

}  // namespace cnn
