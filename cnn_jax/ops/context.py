"""What holds for all that is computed within a block, without being passed on from layer to layer."""

import contextlib
import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import jax
from jax import Array, lax
from jax.sharding import NamedSharding

Conv = Literal["auto", "xla", "im2col", "matmul"]
Platform = Literal["cpu", "cuda", "rocm", "tpu"]
Precision = Literal["default", "high", "highest"]


@dataclasses.dataclass(frozen=True)
class Context:
    """How operations are computed, and over which rows batch normalisation takes its statistics.

    Args:
      conv: `auto` uses our formulations of convolution, pooling and batch normalisation where the program is for a
        CPU, and XLA's own elsewhere; `xla` uses XLA's own everywhere. `im2col` and `matmul` write a
        convolution as one matrix product, or as one for each tap of the filter, and leave the rest to XLA.
      platform: what the program is for: cpu, cuda, rocm or tpu; None is the platform of JAX's default backend. It
        decides which forms are traced, so that what a GPU gets can be looked at, or exported, on a CPU.
      precision: of float32 products: `default` is TF32 on GPUs from Ampere on and bfloat16 on TPUs; `high` is three
        products of half the bits there, and `highest` is float32. On CPUs all three are float32.
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
      ValueError: for another `conv`, platform or precision, or a ghost batch that is not positive.
    """

    conv: Conv = "auto"
    batch: NamedSharding | str | None = None
    ghost_batch: int | None = None
    frozen_norm: bool = False
    unbiased_variance: bool = False
    platform: Platform | None = None
    precision: Precision = "default"

    def __post_init__(self) -> None:
        for name, known in (("conv", Conv), ("platform", Platform), ("precision", Precision)):
            value = getattr(self, name)
            if value not in get_args(known) and not (name == "platform" and value is None):
                raise ValueError(f"`{name}` must be one of {', '.join(get_args(known))}, got {value!r}.")
        if self.ghost_batch is not None and self.ghost_batch < 1:
            raise ValueError(f"`ghost_batch` must be positive, or None for the whole batch, got {self.ghost_batch}.")

    @property
    def on_cpu(self) -> bool:
        """Whether the program is for a CPU."""
        return (self.platform or jax.default_backend()) == "cpu"

    @property
    def split_by_jit(self) -> bool:
        """Whether plain jit splits the rows over devices."""
        return isinstance(self.batch, NamedSharding) and self.batch.num_devices > 1

    @property
    def own_forms(self) -> bool:
        """Whether our formulations are used where there are any."""
        return self.conv == "auto" and self.on_cpu


# A user context is part of jit's cache key: a function traced under one is traced again under another.
_current = jax.make_user_context(Context())


def current() -> Context:
    """The context of the block that is being traced; the default outside of any."""
    return _current.value


def context(base: Context | None = None, /, **changes: Any) -> AbstractContextManager[None]:
    """Compute a block in another context, which is read while the block is traced.

    Args:
      base: the context, for the platform of the block around it where it names none; None is that block's context.
      changes: fields of it to change.

    Example:
      >>> import jax.numpy as jnp
      >>> from cnn_jax.ops import context, max_pool
      >>> with context(conv="xla"):
      ...     y = jax.jit(lambda x: max_pool(x, 2))(jnp.ones((1, 4, 4, 1)))
      >>> y.shape
      (1, 2, 2, 1)
    """
    around = current()
    base = base or around
    new = dataclasses.replace(base, **{"platform": base.platform or around.platform} | changes)
    return _current(new) if new.precision == around.precision else _at_its_precision(new)


@contextlib.contextmanager
def _at_its_precision(new: Context) -> Iterator[None]:
    with _current(new), jax.default_matmul_precision(None if new.precision == "default" else new.precision):
        yield


def even_split(batch: NamedSharding | str | None, rows: int) -> NamedSharding | None:
    """The sharding of a batch whose rows plain jit splits over devices; None where it does not, or not evenly."""
    return batch if isinstance(batch, NamedSharding) and rows % batch.num_devices == 0 else None


def in_parts(x: Array, split: NamedSharding) -> Array:
    """Rows [n, ...] as those of each device, [devices, n / devices, ...], which stay where they are."""
    return lax.with_sharding_constraint(x.reshape(split.num_devices, -1, *x.shape[1:]), split)
