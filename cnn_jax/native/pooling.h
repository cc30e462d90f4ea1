// The gradient of max pooling, which goes to the first largest number of each window.
//
// It is gathered: of an image, each window's winner is found once and kept in a byte, which stays in the cache; then each
// pixel adds up the gradients of the windows that it won, and is written once, rounded once. Images are the items of
// work, so nothing is added to by two threads, and no pixel is passed twice. XLA's own gradient reduces pairs of values
// and coordinates, and scatters. The maximum itself XLA takes as fast (`ops/max_pool_cpu.py`).
//
// A NaN is larger than all else, as in IEEE 754-2019's maximum; the padding is lower than all, and wins only where it is
// the first tap and nothing but minus infinity follows: then the gradient is lost, as in the pure JAX form.
#pragma once
#include <cmath>

#include "window.h"

namespace cnn {

using Bytes = uint8_t __attribute__((vector_size(LANES)));

// Of an image [h, w, c], the number of the tap that holds the largest of each window, of at most 256: [ho, wo, c].
template <class T>
void find_winners(const Window v, const T* image, uint8_t* winners) {
  for (i64 row = 0; row < v.ho; ++row) {
    const i64 up = row * v.sh - v.top, first_row = std::max<i64>(0, -up), last_row = std::min(v.kh, v.h - up);
    for (i64 column = 0; column < v.wo; ++column, winners += v.c) {
      const i64 left = column * v.sw - v.left, first = std::max<i64>(0, -left), last = std::min(v.kw, v.w - left);
      for (i64 k = 0; k < v.c; k += LANES) {
        Vec best = splat(-INFINITY);
        Bits winner = {};
        for (i64 a = first_row; a < last_row; ++a)
          for (i64 b = first; b < last; ++b) {
            const Vec seen = load(image + ((up + a) * v.w + left + b) * v.c + k, v.c - k);
            const auto better = ~(seen <= best) & (best == best);
            best = better ? seen : best;
            winner = better ? uint32_t(a * v.kw + b) - Bits{} : winner;
          }
        const Bytes tap = __builtin_convertvector(winner, Bytes);
        memcpy(winners + k, &tap, sizeof tap);
      }
    }
  }
}

// The windows along an axis that see a place of the padded image.
struct Seen {
  i64 first, last;
  Seen(i64 place, i64 window, i64 stride, i64 windows)
      : first(place < window ? 0 : (place - window) / stride + 1), last(std::min(windows - 1, place / stride)) {}
};

// g: [n, ho, wo, c]; dx: [n, h, w, c].
template <class T>
void max_pool_gradient(Pool& pool, const Window& window, const T* x, const T* g, T* dx) {
  parallel(pool, window.n, [&](i64 n) {
    const Window v = window;
    const i64 places = v.ho * v.wo * v.c;
    uint8_t* const winners = scratch<PLACES, uint8_t>(places + LANES);  // a last vector reaches beyond its pixel
    find_winners(v, x + n * v.h * v.w * v.c, winners);
    const T* const from = g + n * places;
    T* to = dx + n * v.h * v.w * v.c;
    for (i64 row = v.top; row < v.top + v.h; ++row) {
      const Seen rows(row, v.kh, v.sh, v.ho);
      for (i64 column = v.left; column < v.left + v.w; ++column, to += v.c) {
        const Seen columns(column, v.kw, v.sw, v.wo);
        for (i64 k = 0; k < v.c; k += LANES) {
          Vec sum = {};
          for (i64 i = rows.last; i >= rows.first; --i)
            for (i64 j = columns.last; j >= columns.first; --j) {
              const i64 at = (i * v.wo + j) * v.c + k;
              Bytes tap;
              memcpy(&tap, winners + at, sizeof tap);
              const uint32_t own = (row - i * v.sh) * v.kw + column - j * v.sw;
              sum += __builtin_convertvector(tap, Bits) == own - Bits{} ? load(from + at, v.c - k) : Vec{};
            }
          store(to + k, sum, v.c - k);
        }
      }
    }
  });
}

}  // namespace cnn
