// The kernels of normalisation and max pooling against plain loops, as `sanitized.cc` has those of convolution.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "norm.h"
#include "pooling.h"
#include "random_arrays.h"

using namespace cnn;

namespace {

template <class T>
bool near(const Array<T>& found, const std::vector<double>& sums, double rounding) {
  double largest = 1e-6;  // a mean of integers may be zero, and its sum in double 1e-17
  for (double sum : sums) largest = std::max(largest, std::abs(sum));
  for (i64 i = 0; i < found.size; ++i)
    if (!(std::abs(widened(found.at[i]) - sums[i]) <= rounding * largest)) return false;
  return true;
}

// With a scale of one and a bias of a half, so that nothing lies at a ReLU's edge that is not meant to.
template <class T>
bool normalizes(Pool& pool, bool busy) {
  const i64 count = between(8, 400), c = between(1, between(0, 3) ? 9 : 300), all = count * c;
  const bool relu = between(0, 1), added = between(0, 1);
  const auto x = Array<T>::random(all), g = Array<T>::random(all), shortcut = Array<T>::random(all);
  Array<float> scale(c), bias(c), mean(c), var(c), zero(c), dscale(c), dbias(c);
  std::fill_n(scale.at.get(), c, 1.0f), std::fill_n(bias.at.get(), c, 0.37f), std::fill_n(zero.at.get(), c, 0.0f);
  Array<T> y(all), dx(all), dshortcut(all);
  const Rows rows(all, c);
  const Norm norm{scale.at.get(), bias.at.get(), 0.1f, relu};
  if (busy) pool.pause();
  normalization(pool, rows, norm, x.at.get(), added ? shortcut.at.get() : nullptr, y.at.get(), mean.at.get(), var.at.get());
  normalization_gradient(pool, rows, norm, x.at.get(), relu ? y.at.get() : nullptr, mean.at.get(), var.at.get(), g.at.get(),
                         zero.at.get(), zero.at.get(), dx.at.get(), dscale.at.get(), dbias.at.get(),
                         relu && added ? dshortcut.at.get() : nullptr);
  if (busy) pool.resume();

  std::vector<double> true_y(all), true_dx(all), passed(all), means(c), vars(c), sums(c), products(c);
  for (i64 i = 0; i < all; ++i) means[i % c] += widened(x.at[i]) / double(count);
  for (i64 i = 0; i < all; ++i) vars[i % c] += std::pow(widened(x.at[i]) - means[i % c], 2) / count;
  for (i64 i = 0; i < all; ++i) {
    const double z = widened(x.at[i]) - means[i % c], before = z / std::sqrt(vars[i % c] + 0.1f) + 0.37f;
    true_y[i] = before + (added ? widened(shortcut.at[i]) : 0);
    if (relu && std::abs(true_y[i]) < 1e-4) return true;  // either side is right
    passed[i] = relu && true_y[i] < 0 ? 0 : widened(g.at[i]);
    if (relu) true_y[i] = std::max(true_y[i], 0.0);
    sums[i % c] += passed[i], products[i % c] += passed[i] * z;
  }
  for (i64 i = 0; i < all; ++i) {
    const double z = widened(x.at[i]) - means[i % c], r = 1 / std::sqrt(vars[i % c] + 0.1f);
    true_dx[i] = r * (passed[i] - sums[i % c] / count - z * r * r * products[i % c] / count);
  }
  for (i64 k = 0; k < c; ++k) products[k] /= std::sqrt(vars[k] + 0.1f);
  const double rounding = std::is_same_v<T, float> ? 1e-4 : 1e-2;
  return near(y, true_y, rounding) && near(mean, means, 1e-4) && near(var, vars, 1e-4) && near(dx, true_dx, rounding) &&
         near(dscale, products, 1e-3) && near(dbias, sums, 1e-4) && (!(relu && added) || near(dshortcut, passed, 0));
}

template <class T>
bool pools(Pool& pool, bool busy) {
  Window v{};
  v.n = between(0, 3), v.c = between(1, between(0, 3) ? 9 : 70);
  v.kh = between(1, 5), v.kw = between(1, 5), v.sh = between(1, 4), v.sw = between(1, 4);
  v.top = between(0, v.kh - 1), v.left = between(0, v.kw - 1);
  const i64 bottom = between(0, v.kh - 1), right = between(0, v.kw - 1);
  draw_image(v, bottom, right);
  const i64 images = v.n * v.h * v.w * v.c, results = v.n * v.ho * v.wo * v.c;
  const auto x = Array<T>::random(images), g = Array<T>::random(results);
  Array<T> dx(images);
  if (busy) pool.pause();
  max_pool_gradient(pool, v, x.at.get(), g.at.get(), dx.at.get());
  if (busy) pool.resume();

  std::vector<double> true_dx(images);
  for (i64 i = 0; i < results; ++i) {
    const i64 k = i % v.c, column = i / v.c % v.wo, row = i / v.c / v.wo % v.ho, n = i / v.c / v.wo / v.ho;
    i64 winner = -1;
    for (i64 a = 0; a < v.kh; ++a)
      for (i64 b = 0; b < v.kw; ++b) {
        const i64 p = row * v.sh + a - v.top, q = column * v.sw + b - v.left;
        if (p < 0 || p >= v.h || q < 0 || q >= v.w) continue;
        const i64 at = ((n * v.h + p) * v.w + q) * v.c + k;
        if (winner < 0 || widened(x.at[at]) > widened(x.at[winner])) winner = at;
      }
    true_dx[winner] += widened(g.at[i]);
  }
  return near(dx, true_dx, 0);
}

}  // namespace

int main(int, char** arguments) {
  const int cases = std::atoi(arguments[1]);
  int wrong = 0;
  for (int threads : {0, 1, 4}) {
    Pool pool(threads);
    for (int i = 0; i < cases; ++i) {
      const bool busy = i % 3 == 0;
      const bool normalized = i % 2 ? normalizes<float>(pool, busy) : normalizes<bf16>(pool, busy);
      const bool pooled = i % 2 ? pools<float>(pool, busy) : pools<bf16>(pool, busy);
      if (normalized && pooled) continue;
      ++wrong;
      std::fprintf(stderr, "%d threads, case %d is wrong: %s\n", threads, i, normalized ? "pooling" : "normalisation");
    }
  }
  std::printf("%d cases, %d wrong\n", 3 * cases, wrong);
  return wrong != 0;
}
