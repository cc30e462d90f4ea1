"""Batch normalisation in training with what follows it, for CPUs: as few passes over memory as there can be, in C++.

Forward and back, layers of ResNet-20 and ResNet-50 ran at 1.2 to 2.2 times the speed of `batch_norm_gradient` and XLA's
addition and ReLU in float32, and 4.6 to 8.6 times in bfloat16 (`experiments/benchmarks/layers.py`).
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from cnn_jax.native import normalization as native
from cnn_jax.native.call import FEWEST_NUMBERS, fixed, serves
from cnn_jax.ops.batch_norm_gradient import gradients
from cnn_jax.ops.context import current
from cnn_jax.ops.normalize import add_and_activate, batch_statistics, normalize
from cnn_jax.ops.own_gradient import reverse_mode_only, sum_to_vary_as, vary_alike
from cnn_jax.ops.precision import sum_dtype

type Normalized = tuple[Array, Array, Array]


def is_fused(x: Array, shortcut: Array | None) -> bool:
    """Whether C++ serves these values, and is worth a compiler: it was faster for all that were tried."""
    alike = shortcut is None or (shortcut.shape == x.shape and shortcut.dtype == x.dtype)
    return alike and serves(x) and x.size >= FEWEST_NUMBERS and not current().split_by_jit


@reverse_mode_only
def fused_batch_norm(
    x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool
) -> Normalized:
    """As `batch_norm_with_own_gradient`, plus the shortcut, through a ReLU; on one device."""
    if shortcut is not None:
        x, shortcut = vary_alike(x, shortcut)
    dtype = sum_dtype(x)
    return _fused(x, scale.astype(dtype), bias.astype(dtype), shortcut, epsilon, relu)


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _fused(x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool) -> Normalized:
    form = fixed(_in_jax, epsilon=epsilon, relu=relu)
    y, mean, var = native.normalization(form, x, scale, bias, shortcut, epsilon, relu)
    return y, mean, var


def _in_jax(x: Array, scale: Array, bias: Array, *shortcut: Array, epsilon: float, relu: bool) -> Normalized:
    mean, var = batch_statistics(x, None)
    return add_and_activate(normalize(x, mean, var, scale, bias, epsilon), *shortcut, relu=relu), mean, var


def _fused_forward(
    x: Array, scale: Array, bias: Array, shortcut: Array | None, epsilon: float, relu: bool
) -> tuple[Normalized, tuple[Any, ...]]:
    y, mean, var = _fused(x, scale, bias, shortcut, epsilon, relu)
    added = None if shortcut is None else ()  # no array, but told apart
    return (y, mean, var), (added, x, scale, bias, mean, var, *[y] * relu)


def _fused_backward(
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


_fused.defvjp(_fused_forward, _fused_backward)


def _gradients_in_jax(g: Array, *saved: Array, epsilon: float, through: bool) -> tuple[Array, ...]:
    """Of (g, g_mean, g_var, x, scale, bias, mean, var) or, of a ReLU, these and y."""
    g_mean, g_var, x, scale, bias, mean, var, *activated = saved
    for y in activated:
        g = jnp.where(y > 0, g, jnp.zeros_like(g))
    return *gradients(g, g_mean, g_var, x, scale, bias, mean, var, epsilon), *[g] * through
