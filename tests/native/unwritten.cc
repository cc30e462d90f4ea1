// Kernels that compile and write nothing: what a check of their results has to find out.
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using Array = ffi::AnyBuffer;

static ffi::Error nothing(Array, Array, ffi::Result<Array>, int64_t, int64_t, int64_t, int64_t) { return ffi::Error::Success(); }

#define UNWRITTEN(Name)                                                                                       \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_##Name, nothing,                                                      \
                                ffi::Ffi::Bind().Arg<Array>().Arg<Array>().Ret<Array>().Attr<int64_t>("sh")   \
                                    .Attr<int64_t>("sw").Attr<int64_t>("top").Attr<int64_t>("left"))
UNWRITTEN(Convolution);
UNWRITTEN(ToImages);
UNWRITTEN(ToFilters);

static ffi::Error none_of_layers(ffi::RemainingArgs, ffi::RemainingRets) { return ffi::Error::Success(); }

#define UNWRITTEN_LAYER(Name)                                                                                 \
  XLA_FFI_DEFINE_HANDLER_SYMBOL(cnn_jax_##Name, none_of_layers, ffi::Ffi::Bind().RemainingArgs().RemainingRets())
UNWRITTEN_LAYER(Normalization);
UNWRITTEN_LAYER(NormalizationGradient);
UNWRITTEN_LAYER(MaxPoolGradient);
