"""Pure functions on arrays: convolution, pooling and normalisation, images as NHWC and kernels as HWIO."""

import lazy_loader as _lazy

__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
