"""Batch normalisation in training with its gradient written out: two sums over the batch."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import NamedSharding

from cnn_jax.ops.normalize import as_row, batch_statistics, normalize
from cnn_jax.ops.own_gradient import reverse_mode_only, sum_to_vary_as
from cnn_jax.ops.precision import materialize_on_cpu, sum_dtype

type Saved = tuple[Array, Array, Array, Array, Array]


@reverse_mode_only
def batch_norm_with_own_gradient(
    x: Array, scale: Array, bias: Array, epsilon: float, split: NamedSharding | None
) -> tuple[Array, Array, Array]:
    """Return the normalised activations and the batch's mean and biased variance.

    With z = x - mean, r = 1 / sqrt(var + epsilon) and N values a channel, the gradient of y is

        dbias = sum g,   dscale = r sum g z,   dx = scale r (g - dbias / N - z r dscale / N),

    and those of the statistics themselves add dmean / N and 2 z dvar / N to dx. Forward mode needs
    `context(conv="xla")`.
    """
    return _batch_norm(x, scale, bias, epsilon, split)


# The split is passed on, not read from the context: under `jax.checkpoint`, JAX traces the gradient's forward pass
# after the block has ended.
@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def _batch_norm(
    x: Array, scale: Array, bias: Array, epsilon: float, split: NamedSharding | None
) -> tuple[Array, Array, Array]:
    mean, var = batch_statistics(x, split)
    return normalize(x, mean, var, scale, bias, epsilon), mean, var


def _forward(
    x: Array, scale: Array, bias: Array, epsilon: float, split: NamedSharding | None
) -> tuple[tuple[Array, Array, Array], Saved]:
    y, mean, var = _batch_norm(x, scale, bias, epsilon, split)
    return (y, mean, var), (x, scale, bias, mean, var)


def _backward(
    epsilon: float, split: NamedSharding | None, saved: Saved, cotangents: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    x, scale, bias, _, _ = saved
    dx, dscale, dbias = gradients(*cotangents, *saved, epsilon=epsilon)
    return sum_to_vary_as(dx, x), sum_to_vary_as(dscale, scale), sum_to_vary_as(dbias, bias)


_batch_norm.defvjp(_forward, _backward)


def gradients(
    g: Array, g_mean: Array, g_var: Array, x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float
) -> tuple[Array, Array, Array]:
    """To x, scale and bias, for those of the three results."""
    dtype, axes, count = sum_dtype(x), tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    g = materialize_on_cpu(g).astype(dtype)
    z = x.astype(dtype) - as_row(mean, x)
    r = lax.rsqrt(var + epsilon)
    dbias, dscale = jnp.sum(g, axes), jnp.sum(g * z, axes) * r
    factor = scale.astype(dtype) * r
    constant = (g_mean - factor * dbias) / count
    slope = (2 * g_var - factor * r * dscale) / count
    dx = as_row(factor, x) * g + as_row(slope, x) * z + as_row(constant, x)
    return dx.astype(x.dtype), dscale.astype(scale.dtype), dbias.astype(bias.dtype)
