// A window that moves over images, and the rows of images that it sees, padded.
//
// In NHWC, what a window of kh x kw taps sees of one image row is one run of kw * c numbers, wherever it stands and
// whatever the stride: so a convolution needs no im2col, only images with their padding written out. That is done a
// band of rows at a time, small enough to stay in the cache while all filters pass over it; where there is no padding
// and the numbers are factors as they are, the band is the image itself.
//
// Source of the idea: Zhang, Franchetti and Low 2018, "High performance zero-memory overhead direct convolutions".
#pragma once
#include <algorithm>
#include <type_traits>

#include "pairs.h"
#include "threads.h"

namespace cnn {

struct Window {
  i64 n, h, w, c;      // images
  i64 kh, kw, sh, sw;  // taps and strides
  i64 top, left;       // padding; in a phase of `to_images` negative, where the window starts inside the image
  i64 ho, wo;          // places

  bool is_pointwise() const { return kh == 1 && kw == 1 && sh == 1 && sw == 1 && ho == h && wo == w && top == 0 && left == 0; }
};

template <class F>
struct Band {
  const F* at;  // what the first place's window sees first
  i64 line;     // factors from one image row to the next
};

// What windows of the output rows [first, last) of image n see, `deep` factors F a pixel.
template <class F, class T>
Band<F> band(const Window& v, const T* x, i64 deep, i64 n, i64 first, i64 last) {
  const i64 above = first * v.sh - v.top, rows = (last - first - 1) * v.sh + v.kh, wide = (v.wo - 1) * v.sw + v.kw;
  const T* image = x + n * v.h * v.w * v.c;
  const bool as_they_are = deep * sizeof(F) == v.c * sizeof(T);
  if (as_they_are && above >= 0 && above + rows <= v.h && v.left <= 0 && wide - v.left <= v.w)
    return {reinterpret_cast<const F*>(image + (above * v.w - v.left) * v.c), v.w * deep};
  const i64 line = wide * deep, before = std::clamp<i64>(v.left, 0, wide);
  const i64 inside = std::clamp<i64>(v.w + v.left, before, wide) - before;
  F* const copy = scratch<IMAGES, F>(rows * line);
  for (i64 row = 0; row < rows; ++row) {
    F* to = copy + row * line;
    const i64 from = above + row;
    if (from < 0 || from >= v.h || inside == 0) {
      std::fill_n(to, line, F{});
      continue;
    }
    std::fill_n(to, before * deep, F{});
    to_factors(to + before * deep, image + (from * v.w + before - v.left) * v.c, inside, v.c, deep);
    std::fill_n(to + (before + inside) * deep, (wide - before - inside) * deep, F{});
  }
  return {copy, line};
}

// Output rows a band: as many as keep what they see within so many factors, evenly divided; at least one.
inline i64 rows_of_band(const Window& v, i64 factors_of_row, i64 budget) {
  const i64 most = std::clamp<i64>(budget / std::max<i64>(factors_of_row, 1), 1, v.ho), bands = (v.ho + most - 1) / most;
  return (v.ho + bands - 1) / bands;
}

}  // namespace cnn
