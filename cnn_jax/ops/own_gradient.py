"""What functions with a gradient of their own need: an error that tells of forward mode, and an account of mesh axes.

Such functions know no forward mode. Inside `jax.shard_map`, arrays know over which mesh axes they vary, which the
gradients must keep account of.
"""

from collections.abc import Callable
from functools import wraps

import jax
from jax import Array, lax


def reverse_mode_only[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose error under `jax.jvp`, `jax.linearize` or `jax.hessian` names the remedy.

    Under `jax.jit` and `jax.checkpoint` (`model.remat`) JAX differentiates the traced function out of our hands: its
    own sentence appears, without the remedy, which is the same.
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except TypeError as error:
            if "forward-mode" not in str(error):
                raise
            raise TypeError(
                "forward-mode differentiation (jax.jvp, jax.linearize, jax.hessian) does not reach the gradients that "
                'cnn_jax writes out for CPUs; use XLA\'s own: `with cnn_jax.ops.context(conv="xla"):` around the '
                "call, or `--model.conv xla`."
            ) from None

    return call


def vary_alike(*arrays: Array) -> tuple[Array, ...]:
    """The same values, each marked as varying over every axis that any of them varies over."""
    axes = frozenset().union(*(_axes(a) for a in arrays))
    missing = [tuple(axes - _axes(a)) for a in arrays]
    return tuple(lax.pcast(a, m, to="varying") if m else a for a, m in zip(arrays, missing, strict=True))


def sum_to_vary_as(gradient: Array, primal: Array) -> Array:
    """The gradient of a value that is the same along some axes: the sum of those of all devices along them."""
    axes = tuple(_axes(gradient) - _axes(primal))
    return lax.psum(gradient, axes) if axes else gradient


def _axes(x: Array) -> frozenset[str]:
    return frozenset(jax.typeof(x).manual_axis_type.varying)
