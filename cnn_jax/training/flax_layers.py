"""Flax's own layers in a network of one's own: refused where they would compute another thing than on one device.

They know nothing of the `cnn_jax.ops.context`, so they take the rows at hand for the whole batch.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from flax import linen as nn
from jax.sharding import NamedSharding

from cnn_jax.ops import current


def refuse_partial_batches(
    batch: NamedSharding | str | None, micro_batches: int
) -> contextlib.AbstractContextManager[Any]:
    """Inside it, a layer of Flax's that learns from a part of the batch, or drops values of it, is refused.

    Args:
      batch: as in `cnn_jax.ops.Context`.
      micro_batches: in a step.

    Raises:
      ValueError: when such a layer is called, naming it and the one to take in its place.
    """
    mapped = isinstance(batch, str)

    def check(call: Callable[..., Any], args: Any, kwargs: Any, info: nn.module.InterceptorContext) -> Any:
        module, here, ours, fault = info.module, current(), "", None
        if info.method_name != "__call__":
            return call(*args, **kwargs)
        if isinstance(module, nn.BatchNorm) and not _flag(module, "use_running_average", args, kwargs):
            ours = "BatchNorm"
            if here.ghost_batch is not None:
                fault = f"it knows no ghost batches, and `model.ghost_batch` is {here.ghost_batch}"
            elif here.unbiased_variance:
                fault = "its running variance is the biased one, and `model.unbiased_variance` is True"
            elif mapped and module.axis_name != batch:
                fault = "under pmap, its statistics are those of each device by itself"
        elif isinstance(module, nn.Dropout) and module.rate and not _flag(module, "deterministic", args, kwargs):
            ours = "Dropout"
            if mapped or micro_batches > 1:
                parts = "on each device" if mapped else f"in each of {micro_batches} micro-batches"
                fault = f"it drops the same places {parts}"
        if fault is not None:
            raise ValueError(
                f"`{'/'.join(module.path)}` is Flax's {ours}: {fault}. Take cnn_jax.modules.{ours} in its place, which "
                "computes the same on any devices."
            )
        return call(*args, **kwargs)

    return nn.intercept_methods(check)


def _flag(module: nn.Module, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A flag that Flax's layers take as a field, or as an argument after the images."""
    field = getattr(module, name)
    return field if field is not None else kwargs.get(name, args[1] if len(args) > 1 else None)
