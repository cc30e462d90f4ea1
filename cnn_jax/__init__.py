"""The classic convolutional networks in JAX, exactly as published, with runs that repeat to the bit."""

import lazy_loader as _lazy

# The names are listed in __init__.pyi and imported on first use, so that `cnn-jax --help` need not wait for JAX.
__getattr__, __dir__, __all__ = _lazy.attach_stub(__name__, __file__)
