"""The dtype that sums and statistics are taken in, and the fence that keeps a value from being computed again."""

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.context import current


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


def materialize_on_cpu(x: Array) -> Array:
    """The same values; in a program for a CPU, written to memory once: a fence that fusion does not cross.

    XLA fuses a residual network's chain of additions into each of its uses, so that the last block reads the results
    of all blocks before it.
    """
    return lax.optimization_barrier(x) if current().on_cpu else x
