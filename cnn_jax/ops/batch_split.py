"""Over which devices a global batch is split: what lets BatchNorm meet its other parts in one message."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
from jax import Array, lax
from jax.sharding import NamedSharding

# A user context is part of jit's cache key: a function traced under one split is traced again under another.
_split = jax.make_user_context(None)


@contextmanager
def batch_split(sharding: NamedSharding | None) -> Iterator[None]:
    """Say how activations' first axis lies on devices while the block is traced under plain jit.

    Every result is the same without it, up to rounding: the compiler then finds its own way, in which BatchNorm waits
    for one message of the mean and for another of the variance around it.

    Args:
        sharding: splits the first axis and no other; None where it is whole on every device that computes.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from jax.sharding import AxisType, NamedSharding, PartitionSpec
        >>> from cnn_jax.ops import batch_norm, batch_split
        >>> mesh = jax.make_mesh((1,), ("data",), axis_types=(AxisType.Auto,))
        >>> zero, one = jnp.zeros(1), jnp.ones(1)
        >>> with batch_split(NamedSharding(mesh, PartitionSpec("data"))):
        ...     y, _ = batch_norm(jnp.array([[1.0], [3.0]]), one, zero, zero, one, train=True, epsilon=0.0)
        >>> y.ravel()
        Array([-1.,  1.], dtype=float32)
    """
    with _split(sharding):
        yield


def current_batch_split(rows: int) -> NamedSharding | None:
    """What `batch_split` said; None outside of any, and for rows that the devices do not divide evenly."""
    sharding = _split.value
    return None if sharding is None or rows % sharding.num_devices else sharding


def in_parts(x: Array, split: NamedSharding) -> Array:
    """Rows [n, ...] as those of each device, [devices, n / devices, ...], which stay where they are."""
    return lax.with_sharding_constraint(x.reshape(split.num_devices, -1, *x.shape[1:]), split)
