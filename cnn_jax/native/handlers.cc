// What XLA calls: each handler takes arrays as they lie, NHWC and HWIO, and hands them to the kernel of their dtype.
#include "convolve.h"
#include "pairs_to_filters.h"

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

}  // namespace

#define CONV(Name)                                                                                                     \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_##Name, Name,                                                                  \
                                ffi::Ffi::Bind().Ctx<ffi::ThreadPool>().Arg<Array>().Arg<Array>().Ret<Array>()         \
                                    .Attr<i64>("sh").Attr<i64>("sw").Attr<i64>("top").Attr<i64>("left"))
CONV(Convolution);
CONV(ToImages);
CONV(ToFilters);
