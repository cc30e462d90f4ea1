"""What holds for all that is computed within a block, without being passed on from layer to layer."""

import dataclasses
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import jax
from jax import Array, lax
from jax.sharding import NamedSharding

Conv = Literal["auto", "xla", "im2col", "matmul"]


@dataclasses.dataclass(frozen=True)
class Context:
    """How operations are computed, and over which rows batch normalisation takes its statistics.

    Args:
      conv: `auto` uses our formulations of convolution, pooling and batch normalisation where the program is lowered
        for a CPU, and XLA's own elsewhere; `xla` uses XLA's own everywhere. `im2col` and `matmul` write a
        convolution as one matrix product, or as one for each tap of the filter, and leave the rest to XLA.
      batch: where the other rows of the batch are. Under pmap, vmap or shard_map, the name of the axis that they are
        mapped along. Under plain jit, the sharding that splits the first axis and no other: every result is the
        same without it, up to rounding, but batch normalisation then needs two messages for its statistics in
        place of one. None where all rows are here.
      ghost_batch: batch normalisation takes statistics of so many consecutive examples at a time (Hoffer et al. 2017,
        arXiv:1705.08741), never of other devices' rows; None: of the whole batch. `model.ghost_batch`
        sets it, `ops.batch_norm` reads it.
      frozen_norm: batch normalisation uses its running averages in training as well and leaves them alone.
      unbiased_variance: the running average takes the variance over n - 1, as PyTorch's; else over n.

    Raises:
      ValueError: for another `conv`, or a ghost batch that is not positive.
    """

    conv: Conv = "auto"
    batch: NamedSharding | str | None = None
    ghost_batch: int | None = None
    frozen_norm: bool = False
    unbiased_variance: bool = False

    def __post_init__(self) -> None:
        if self.conv not in get_args(Conv):
            raise ValueError(f"`conv` must be one of {', '.join(get_args(Conv))}, got {self.conv!r}.")
        if self.ghost_batch is not None and self.ghost_batch < 1:
            raise ValueError(f"`ghost_batch` must be positive, or None for the whole batch, got {self.ghost_batch}.")


# A user context is part of jit's cache key: a function traced under one is traced again under another.
_current = jax.make_user_context(Context())


def current() -> Context:
    """The context of the block that is being traced; the default outside of any."""
    return _current.value


def context(base: Context | None = None, /, **changes: Any) -> AbstractContextManager[None]:
    """Compute a block in another context, which is read while the block is traced.

    Args:
      base: the context; None is the one around the block.
      changes: fields of it to change.

    Example:
      >>> import jax.numpy as jnp
      >>> from cnn_jax.ops import context, max_pool
      >>> with context(conv="xla"):
      ...     y = jax.jit(lambda x: max_pool(x, 2))(jnp.ones((1, 4, 4, 1)))
      >>> y.shape
      (1, 2, 2, 1)
    """
    return _current(dataclasses.replace(base or current(), **changes))


def even_split(batch: NamedSharding | str | None, rows: int) -> NamedSharding | None:
    """The sharding of a batch whose rows plain jit splits over devices; None where it does not, or not evenly."""
    return batch if isinstance(batch, NamedSharding) and rows % batch.num_devices == 0 else None


def in_parts(x: Array, split: NamedSharding) -> Array:
    """Rows [n, ...] as those of each device, [devices, n / devices, ...], which stay where they are."""
    return lax.with_sharding_constraint(x.reshape(split.num_devices, -1, *x.shape[1:]), split)
