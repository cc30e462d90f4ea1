"""The dtype that sums and statistics are taken in."""

import jax.numpy as jnp
from jax import Array

from .materialize import materialize_on_cpu


def sum_dtype(x: Array) -> jnp.dtype:
    """float32, or float64 for float64 values: half precision is too coarse to add many numbers in."""
    return jnp.dtype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)


def is_half(x: Array) -> bool:
    """Whether the values are bfloat16 or float16."""
    return x.dtype.itemsize == 2


def widened(x: Array) -> Array:
    """The values in the dtype to add them up in.

    Half precision is written to memory before: XLA:CPU draws what makes the values into a sum over them, and where a
    convolution and a constant (the zero of a ReLU) are among it, the bfloat16 program reads beyond its buffers.
    """
    return materialize_on_cpu(x).astype(sum_dtype(x)) if is_half(x) else x
