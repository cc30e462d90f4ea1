"""Networks that are not in the registry: of one's own file, or of a package."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.models.initialize import abstract_variables
from cnn_jax.signatures import call, own_arguments, parameters

# What the trainer gives to a network that asks for it; the rest is Flax's own.
_OFFERED = {"num_classes", "dtype", "remat", "parent", "name"}


def create_own(
    part: Callable[..., Any],
    options: Mapping[str, Any],
    what: str,
    num_classes: int,
    dtype: Any = jnp.float32,
    *,
    remat: bool = False,
) -> nn.Module:
    """A network from a Linen module, or a function that makes one, as `cnn_jax.names` describes it.

    Args:
      options: arguments of its own.
      what: its name, for the messages.
      num_classes, dtype, remat: as `create_model`, for what takes them.

    Raises:
      ValueError: when the arguments do not fit, or what comes is not called as a network is.
    """
    takes = parameters(part)
    for name, value, usual in (("dtype", jnp.dtype(dtype), jnp.float32), ("remat", remat, False)):
        if value != usual and name not in takes:
            raise ValueError(f"{what} takes no `{name}`, so that {value} would have no effect; leave it out.")
    model = call(part, options, what, num_classes=num_classes, dtype=dtype, remat=remat)
    if not isinstance(model, nn.Module):
        raise ValueError(f"{what} must give a flax.linen.Module, got {type(model).__name__}.")
    accepted = inspect.signature(type(model).__call__).parameters
    if "train" not in accepted and not any(p.kind is p.VAR_KEYWORD for p in accepted.values()):
        raise ValueError(f"{what} is called with images and `train`, so it must be `__call__(self, images, *, train)`.")
    return model


def network_arguments(part: Callable[..., Any]) -> dict[str, Any]:
    """What such a network takes beside what the trainer gives it, by name, with the values that it has by default."""
    return own_arguments(part, _OFFERED)


def check_own(model: nn.Module, what: str, image_shape: tuple[int, int, int], num_classes: int) -> None:
    """Looks, by shapes alone, at what such a network makes of images.

    Raises:
      ValueError: when it gives no logits, has no parameters, or keeps what training does not carry on.
    """
    variables = abstract_variables(model, image_shape)
    images = jax.ShapeDtypeStruct((2, *image_shape), jnp.float32)
    logits = jax.eval_shape(lambda variables, images: model.apply(variables, images, train=False), variables, images)
    shape, dtype = getattr(logits, "shape", None), getattr(logits, "dtype", jnp.int32)
    if shape != (2, num_classes) or not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(
            f"{what} must give logits of shape (2, {num_classes}) for two images, got {shape or type(logits).__name__}."
        )
    if not variables.get("params"):
        raise ValueError(f"{what} has no parameters, so there is nothing to train.")
    if others := variables.keys() - {"params", "batch_stats", "features"}:
        raise ValueError(
            f"{what} keeps variables in {sorted(others)}; training carries on `params` and `batch_stats` alone."
        )
