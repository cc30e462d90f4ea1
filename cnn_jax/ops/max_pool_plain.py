"""Max pooling for GPUs and TPUs: comparisons of shifted images, along the width and then along the height.

XLA's own gradient of max pooling scatters, which on a GPU has no deterministic form. Here every mode of differentiation
is JAX's own, and neither form nor gradient scatters.
"""

from functools import reduce

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.ops.columns import tap
from cnn_jax.ops.geometry import PoolGeometry
from cnn_jax.ops.precision import sum_dtype


def plain_max_pool(x: Array, geometry: PoolGeometry) -> Array:
    """Max pooling whose gradient goes to the first of equal pixels, row by row, as PyTorch's; a NaN wins.

    Widened, so that the gradients of overlapping windows add up wide.
    """
    wide = x.astype(sum_dtype(x))
    lowest = np.array(-np.inf, wide.dtype)
    padded = lax.pad(wide, lowest, ((0, 0, 0), *((low, high, 0) for low, high in geometry.pads), (0, 0, 0)))
    (rows, columns), (kh, kw), (sh, sw) = geometry.positions(x), geometry.window, geometry.strides
    height = padded.shape[1]
    across = reduce(_first_largest, (tap(padded, (0, b), (height, columns), (1, sw), (1, 1)) for b in range(kw)))
    down = reduce(_first_largest, (tap(across, (a, 0), (rows, columns), (sh, 1), (1, 1)) for a in range(kh)))
    return down.astype(x.dtype)


def _first_largest(a: Array, b: Array) -> Array:
    return jnp.where((a >= b) | jnp.isnan(a), a, b)
