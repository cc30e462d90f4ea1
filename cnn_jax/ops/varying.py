"""Inside `jax.shard_map`, arrays know over which mesh axes they vary; gradients of our own must keep the account."""

import jax
from jax import Array, lax


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
