"""Batch normalisation in training with its gradient written out: two sums over the batch.

In C++ (`native/`), where `in_few_passes` says so, with the shortcut and the ReLU behind it.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax
from jax.sharding import NamedSharding

from cnn_jax.native import normalization as native
from cnn_jax.native.call import fixed
from cnn_jax.native.convolution import serves
from cnn_jax.ops.forward_mode import reverse_mode_only
from cnn_jax.ops.normalize import add_and_activate, as_row, batch_statistics, normalize
from cnn_jax.ops.precision import materialize_on_cpu, sum_dtype
from cnn_jax.ops.varying import sum_to_vary_as, vary_alike

type Saved = tuple[Array, Array, Array, Array, Array]
type Normalized = tuple[Array, Array, Array]

# Numbers from which on it is left to C++: a first small network waits for no compiler.
FEWEST_NUMBERS = 1 << 18


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
    dx, dscale, dbias = _gradients(*cotangents, *saved, epsilon=epsilon)
    return sum_to_vary_as(dx, x), sum_to_vary_as(dscale, scale), sum_to_vary_as(dbias, bias)


_batch_norm.defvjp(_forward, _backward)


def _gradients(
    g: Array, g_mean: Array, g_var: Array, x: Array, scale: Array, bias: Array, mean: Array, var: Array, epsilon: float
) -> Normalized:
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


def in_few_passes(x: Array, shortcut: Array | None, batch: NamedSharding | str | None) -> bool:
    """Whether C++ serves these values, and is worth a compiler."""
    if isinstance(batch, str) or (batch is not None and batch.num_devices > 1):
        return False
    alike = shortcut is None or (shortcut.shape == x.shape and shortcut.dtype == x.dtype)
    return alike and serves(x) and x.size >= FEWEST_NUMBERS


@reverse_mode_only
def batch_norm_in_few_passes(
    x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool
) -> Normalized:
    """As `batch_norm_with_own_gradient`, plus the shortcut, through a ReLU; on one device."""
    if shortcut is not None:
        x, shortcut = vary_alike(x, shortcut)
    dtype = sum_dtype(x)
    return _few_passes(x, scale.astype(dtype), bias.astype(dtype), shortcut, epsilon, relu)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _few_passes(x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool) -> Normalized:
    form = fixed(_in_jax, epsilon=epsilon, relu=relu)
    y, mean, var = native.normalization(form, x, scale, bias, shortcut, epsilon, relu)
    return y, mean, var


def _in_jax(x: Array, scale: Array, bias: Array, *shortcut: Array, epsilon: float, relu: bool) -> Normalized:
    mean, var = batch_statistics(x, None)
    return add_and_activate(normalize(x, mean, var, scale, bias, epsilon), *shortcut, relu=relu), mean, var


def _few_passes_forward(
    x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool
) -> tuple[Normalized, tuple[Any, ...]]:
    y, mean, var = _few_passes(x, scale, bias, shortcut, epsilon, relu)
    added = None if shortcut is None else ()  # no array, but told apart
    return (y, mean, var), (added, x, scale, bias, mean, var, *[y] * relu)


def _few_passes_backward(
    epsilon: float, relu: bool, saved: tuple[Any, ...], cotangents: Normalized
) -> tuple[Array | None, ...]:
    added, x, scale, bias, *rest = saved
    g, *others = cotangents
    through = relu and added is not None  # then the shortcut's gradient is that before the ReLU
    form = fixed(_gradients_in_jax, epsilon=epsilon, through=through)
    dx, dscale, dbias, *dshortcut = native.normalization_gradient(
        form, g, *others, x, scale, bias, *rest, epsilon=epsilon, shortcut=through
    )
    around = None if added is None else dshortcut[0] if through else g
    return dx, sum_to_vary_as(dscale, scale), sum_to_vary_as(dbias, bias), around


_few_passes.defvjp(_few_passes_forward, _few_passes_backward)


def _gradients_in_jax(g: Array, *saved: Array, epsilon: float, through: bool) -> tuple[Array, ...]:
    """Of (g, g_mean, g_var, x, scale, bias, mean, var) or, of a ReLU, these and y."""
    g_mean, g_var, x, scale, bias, mean, var, *activated = saved
    for y in activated:
        g = jnp.where(y > 0, g, jnp.zeros_like(g))
    return *_gradients(g, g_mean, g_var, x, scale, bias, mean, var, epsilon), *[g] * through
