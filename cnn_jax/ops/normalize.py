"""The two halves of batch normalisation: the statistics of a batch, and their use."""

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import NamedSharding, PartitionSpec

from cnn_jax.ops.context import even_split, in_parts
from cnn_jax.ops.precision import sum_dtype


def batch_statistics(x: Array, batch: NamedSharding | str | None) -> tuple[Array, Array]:
    """Mean and biased variance of each channel, over all devices that hold rows of the batch (`Context.batch`).

    The devices meet in one message: each finds the moments of its own rows, and all gather them, as in PyTorch's
    SyncBatchNorm. A reduction would be a shorter message, but one of sums of squares, which cancel (see `_moments`).
    """
    x = x.astype(sum_dtype(x))
    if isinstance(batch, str):
        return _pool(lax.all_gather(jnp.stack(_moments(x)), batch, to="invarying"))
    split = even_split(batch, x.shape[0])
    if split is None:
        return _moments(x)
    moments = lax.with_sharding_constraint(jnp.stack(jax.vmap(_moments)(in_parts(x, split)), 1), split)
    return _pool(lax.with_sharding_constraint(moments, NamedSharding(split.mesh, PartitionSpec())))


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and biased variance of each channel.

    In two passes: the mean of squares minus the square of the mean cancels, in float32, where the mean is large.
    """
    axes = tuple(range(x.ndim - 1))
    mean = jnp.mean(x, axes)
    return mean, jnp.mean(jnp.square(x - as_row(mean, x)), axes)


def _pool(moments: Array) -> tuple[Array, Array]:
    """Mean and variance of a whole from those of equal parts, [parts, 2, c]; nothing cancels here either.

    Source: Chan, Golub and LeVeque 1983, "Algorithms for computing the sample variance: analysis and recommendations".
    """
    means, variances = moments[:, 0], moments[:, 1]
    mean = jnp.mean(means, 0)
    return mean, jnp.mean(variances + jnp.square(means - as_row(mean, means)), 0)


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
