// What XLA calls: each handler takes arrays as they lie, NHWC and HWIO, and hands them to the kernel of their dtype.
#include "convolve.h"
#include "norm.h"
#include "pairs_to_filters.h"
#include "pooling.h"

namespace ffi = xla::ffi;
using namespace cnn;
using Array = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;

namespace {

template <class T>
const T* numbers(const Array& array) { return static_cast<const T*>(array.untyped_data()); }
template <class T>
T* numbers(const Result& array) { return static_cast<T*>(array->untyped_data()); }

template <class Kernel>
ffi::Error of_dtype(const Array& array, const Kernel& kernel) {
  switch (array.element_type()) {
    case ffi::F32: kernel(float()); return ffi::Error::Success();
    case ffi::BF16: kernel(bf16()); return ffi::Error::Success();
    default: return ffi::Error::InvalidArgument("the native kernels take float32 and bfloat16");
  }
}

using Sizes = ffi::Span<const i64>;
Window window(Sizes x, Sizes kernel, Sizes y, i64 sh, i64 sw, i64 top, i64 left) {
  return {x[0], x[1], x[2], x[3], kernel[0], kernel[1], sh, sw, top, left, y[1], y[2]};
}

ffi::Error Convolution(Pool pool, Array x, Array kernel, Result y, i64 sh, i64 sw, i64 top, i64 left) {
  const Window v = window(x.dimensions(), kernel.dimensions(), y->dimensions(), sh, sw, top, left);
  return of_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    convolution(pool, v, numbers<T>(x), numbers<T>(kernel), kernel.dimensions()[3], numbers<T>(y));
  });
}

ffi::Error ToImages(Pool pool, Array g, Array kernel, Result dx, i64 sh, i64 sw, i64 top, i64 left) {
  const Window v = window(dx->dimensions(), kernel.dimensions(), g.dimensions(), sh, sw, top, left);
  return of_dtype(g, [&](auto zero) {
    using T = decltype(zero);
    to_images(pool, v, numbers<T>(g), numbers<T>(kernel), kernel.dimensions()[3], numbers<T>(dx));
  });
}

ffi::Error ToFilters(Pool pool, Array x, Array g, Result dkernel, i64 sh, i64 sw, i64 top, i64 left) {
  const Window v = window(x.dimensions(), dkernel->dimensions(), g.dimensions(), sh, sw, top, left);
  return of_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    to_filters(pool, v, numbers<T>(x), numbers<T>(g), g.dimensions()[3], numbers<T>(dkernel));
  });
}

// `others` is the shortcut, where there is one.
ffi::Error Normalization(Pool pool, Array x, Array scale, Array bias, ffi::RemainingArgs others, Result y, Result mean,
                         Result var, float epsilon, i64 relu) {
  const Rows rows(x.element_count(), x.dimensions().back());
  const Norm norm{numbers<float>(scale), numbers<float>(bias), epsilon, relu != 0};
  return of_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    const T* const shortcut = others.size() ? numbers<T>(others.get<Array>(0).value()) : nullptr;
    normalization(pool, rows, norm, numbers<T>(x), shortcut, numbers<T>(y), numbers<float>(mean), numbers<float>(var));
  });
}

// `more` is the gradient to the shortcut, where that is another than g: where there are both a shortcut and a ReLU.
ffi::Error NormalizationGradient(Pool pool, Array g, Array g_mean, Array g_var, Array x, Array scale, Array bias, Array mean,
                                 Array var, ffi::RemainingArgs others, Result dx, Result dscale, Result dbias,
                                 ffi::RemainingRets more, float epsilon) {
  const Rows rows(x.element_count(), x.dimensions().back());
  const Norm norm{numbers<float>(scale), numbers<float>(bias), epsilon, others.size() != 0};
  return of_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    const T* const y = others.size() ? numbers<T>(others.get<Array>(0).value()) : nullptr;
    T* const dshortcut = more.size() ? numbers<T>(more.get<Array>(0).value()) : nullptr;
    normalization_gradient(pool, rows, norm, numbers<T>(x), y, numbers<float>(mean), numbers<float>(var), numbers<T>(g),
                           numbers<float>(g_mean), numbers<float>(g_var), numbers<T>(dx), numbers<float>(dscale),
                           numbers<float>(dbias), dshortcut);
  });
}

ffi::Error MaxPoolGradient(Pool pool, Array g, Array x, Result dx, i64 sh, i64 sw, i64 top, i64 left, i64 kh, i64 kw) {
  const i64 taps[] = {kh, kw};
  const Window v = window(x.dimensions(), Sizes(taps, 2), g.dimensions(), sh, sw, top, left);
  return of_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    max_pool_gradient(pool, v, numbers<T>(x), numbers<T>(g), numbers<T>(dx));
  });
}

}  // namespace

#define HANDLER(Name, ...) \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_##Name, Name, ffi::Ffi::Bind().Ctx<ffi::ThreadPool>() __VA_ARGS__)
#define OF_TWO \
  .Arg<Array>().Arg<Array>().Ret<Array>().Attr<i64>("sh").Attr<i64>("sw").Attr<i64>("top").Attr<i64>("left")
HANDLER(Convolution, OF_TWO);
HANDLER(ToImages, OF_TWO);
HANDLER(ToFilters, OF_TWO);
HANDLER(MaxPoolGradient, OF_TWO.Attr<i64>("kh").Attr<i64>("kw"));
#define OF_THREE .Arg<Array>().Arg<Array>().Arg<Array>()
#define TO_THREE .Ret<Array>().Ret<Array>().Ret<Array>()
HANDLER(Normalization, OF_THREE.RemainingArgs() TO_THREE.Attr<float>("epsilon").Attr<i64>("relu"));
HANDLER(NormalizationGradient, OF_THREE OF_THREE.Arg<Array>().Arg<Array>().RemainingArgs() TO_THREE.RemainingRets()
                                   .Attr<float>("epsilon"));
