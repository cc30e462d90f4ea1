"""The dtype that sums and statistics are taken in."""

import jax.numpy as jnp
from jax import Array


def sum_dtype(x: Array) -> jnp.dtype:
    """float32, or float64 for float64 values: half precision is too coarse to add many numbers in."""
    return jnp.dtype(jnp.float64 if x.dtype == jnp.float64 else jnp.float32)
