// The kernels on random convolutions against plain loops, in a program of its own that a sanitizer can watch.
//
// Some pools have no thread, and every third is busy: what was scheduled is begun only after the kernel has returned.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "convolve.h"
#include "pairs_to_filters.h"
#include "random_arrays.h"

using namespace cnn;

namespace {

// Whether each number is the sum that belongs there, rounded to the dtype.
template <class T>
bool equal(const Array<T>& found, const Array<double>& sums) {
  for (i64 i = 0; i < found.size; ++i) {
    const double rounding = std::is_same_v<T, float> ? 0 : std::abs(sums.at[i]) / 256;
    if (!(std::abs(widened(found.at[i]) - sums.at[i]) <= rounding)) return false;
  }
  return true;
}

template <class T>
bool agrees(Pool& pool, bool busy, const Window& v, i64 o) {
  const i64 images = v.n * v.h * v.w * v.c, filters = v.kh * v.kw * v.c * o, results = v.n * v.ho * v.wo * o;
  const auto x = Array<T>::random(images), kernel = Array<T>::random(filters), g = Array<T>::random(results);
  Array<T> y(results), dx(images), dkernel(filters);
  if (busy) pool.pause();
  convolution(pool, v, x.at.get(), kernel.at.get(), o, y.at.get());
  to_images(pool, v, g.at.get(), kernel.at.get(), o, dx.at.get());
  to_filters(pool, v, x.at.get(), g.at.get(), o, dkernel.at.get());
  if (busy) pool.resume();

  Array<double> true_y(results), true_dx(images), true_dkernel(filters);
  std::fill_n(true_y.at.get(), results, 0.0);
  std::fill_n(true_dx.at.get(), images, 0.0);
  std::fill_n(true_dkernel.at.get(), filters, 0.0);
  for (i64 n = 0; n < v.n; ++n)
    for (i64 i = 0; i < v.ho; ++i)
      for (i64 j = 0; j < v.wo; ++j)
        for (i64 a = 0; a < v.kh; ++a)
          for (i64 b = 0; b < v.kw; ++b) {
            const i64 row = i * v.sh + a - v.top, column = j * v.sw + b - v.left;
            if (row < 0 || row >= v.h || column < 0 || column >= v.w) continue;
            for (i64 k = 0; k < v.c; ++k)
              for (i64 f = 0; f < o; ++f) {
                const i64 at_x = ((n * v.h + row) * v.w + column) * v.c + k, at_y = ((n * v.ho + i) * v.wo + j) * o + f;
                const i64 at_kernel = ((a * v.kw + b) * v.c + k) * o + f;
                true_y.at[at_y] += widened(x.at[at_x]) * widened(kernel.at[at_kernel]);
                true_dx.at[at_x] += widened(g.at[at_y]) * widened(kernel.at[at_kernel]);
                true_dkernel.at[at_kernel] += widened(x.at[at_x]) * widened(g.at[at_y]);
              }
          }
  return equal(y, true_y) && equal(dx, true_dx) && equal(dkernel, true_dkernel);
}

Window random_window() {
  Window v{};
  v.n = between(0, 3), v.c = between(1, between(0, 3) ? 9 : 70);
  v.kh = between(1, 7), v.kw = between(1, 7), v.sh = between(1, 4), v.sw = between(1, 4);
  const bool pointwise = !between(0, 4), padded = !pointwise && between(0, 2);
  if (pointwise) v.kh = v.kw = v.sh = v.sw = 1;
  v.top = padded ? between(0, v.kh + 1) : 0, v.left = padded ? between(0, v.kw + 1) : 0;
  const i64 bottom = padded ? between(0, v.kh + 1) : 0, right = padded ? between(0, v.kw + 1) : 0;
  draw_image(v, bottom, right);
  return v;
}

}  // namespace

int main(int, char** arguments) {
  const int cases = std::atoi(arguments[1]);
  int wrong = 0;
  for (int threads : {0, 1, 4}) {
    Pool pool(threads);
    for (int i = 0; i < cases; ++i) {
      const Window v = random_window();
      const i64 o = between(1, between(0, 3) ? 9 : 70);
      const bool right = i % 2 ? agrees<float>(pool, i % 3 == 0, v, o) : agrees<bf16>(pool, i % 3 == 0, v, o);
      if (right) continue;
      ++wrong;
      std::fprintf(stderr, "%d threads, case %d is wrong: %ldx%ldx%ldx%ld by %ldx%ldx%ldx%ld, strides %ld %ld, pads %ld %ld\n",
                   threads, i, v.n, v.h, v.w, v.c, v.kh, v.kw, v.c, o, v.sh, v.sw, v.top, v.left);
    }
  }
  std::printf("%d cases, %d wrong\n", 3 * cases, wrong);
  return wrong != 0;
}
