"""The two halves of batch normalisation: the statistics of a batch, and their use."""

import jax.numpy as jnp
from jax import Array, lax

from .precision import sum_dtype


def batch_statistics(x: Array, axis_name: str | None = None) -> tuple[Array, Array]:
    """Mean and biased variance of each channel.

    In two passes: the mean of squares minus the square of the mean cancels, in float32, where the mean is large.
    """
    axes = tuple(range(x.ndim - 1))
    x = x.astype(sum_dtype(x))
    mean = jnp.mean(x, axes)
    if axis_name is not None:
        mean = lax.pmean(mean, axis_name)
    var = jnp.mean(jnp.square(x - as_row(mean, x)), axes)
    if axis_name is not None:
        var = lax.pmean(var, axis_name)
    return mean, var


def normalize(x: Array, mean: Array, var: Array, scale: Array | None, bias: Array | None, epsilon: float) -> Array:
    """(x - mean) / sqrt(var + epsilon) * scale + bias in the statistics' dtype, rounded to that of x at the end."""
    dtype = sum_dtype(x)
    mean, var = mean.astype(dtype), var.astype(dtype)
    factor = lax.rsqrt(var + epsilon)
    if scale is not None:
        factor = factor * scale.astype(dtype)
    y = (x.astype(dtype) - as_row(mean, x)) * as_row(factor, x)
    if bias is not None:
        y = y + as_row(bias.astype(dtype), x)
    return y.astype(x.dtype)


def as_row(value: Array, x: Array) -> Array:
    """A channel vector with the activations' rank: rank promotion is never implicit here."""
    return jnp.reshape(value, (1,) * (x.ndim - 1) + value.shape)
