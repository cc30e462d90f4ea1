"""Layers that stand still, as in transfer learning: `optim.freeze` says which.

A frozen parameter is a constant of the loss, so the backward pass stops at the lowest layer that moves; the optimiser
keeps no state for it, and no weight decay reaches it. A frozen BatchNorm uses its running averages and does not move
them. Dropout stays on everywhere.
"""

import contextlib
import re
from collections.abc import Callable
from typing import Any

import jax
import optax
from flax import linen as nn

from cnn_jax.modules import BatchNorm
from cnn_jax.ops import current


def is_frozen(freeze: str, name: str) -> bool:
    """Whether the regular expression `freeze` matches the beginning of a parameter's name.

    Example:
      >>> names = ["stem_conv/kernel", "stage1_block1/conv1/kernel", "head/kernel", "head/bias"]
      >>> [is_frozen("stem|stage1", name) for name in names]
      [True, True, False, False]
      >>> [is_frozen("(?!head)", name) for name in names]  # all that does not begin with head
      [True, True, False, False]
    """
    return re.match(freeze, name) is not None


def check_freeze(freeze: str, params: Any) -> None:
    """Refuses an expression that cannot be meant.

    Args:
      params: of the network, or their shapes.

    Raises:
      ValueError: when it is no regular expression, or matches none or all of the parameters.
    """
    check_pattern(freeze, params)
    if all(jax.tree.leaves(matching(freeze, params))):
        layers = ", ".join(params)
        raise ValueError(f"{freeze!r} matches every parameter, so nothing would be trained. The layers: {layers}.")


def check_pattern(pattern: str, params: Any) -> None:
    """Refuses what is no regular expression, or matches the beginning of no parameter's name.

    Raises:
      ValueError: saying which of the two.
    """
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"{pattern!r} is no regular expression: {error}.") from error
    if not any(jax.tree.leaves(matching(pattern, params))):
        raise ValueError(f"{pattern!r} matches no parameter. The network's layers: {', '.join(params)}.")


def stop_frozen(freeze: str | None, params: Any) -> Any:
    """The parameters, the frozen ones as constants: their gradient is zero, and is not computed."""
    if freeze is None:
        return params
    return jax.tree.map(lambda p, held: jax.lax.stop_gradient(p) if held else p, params, matching(freeze, params))


def frozen_batch_norm(freeze: str | None) -> contextlib.AbstractContextManager[Any]:
    """Inside it, a BatchNorm whose scale is frozen behaves as in evaluation; one of Flax's under `frozen_norm`, too."""

    def evaluate(call: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext) -> Any:
        module = context.module
        if context.method_name != "__call__" or not isinstance(module, BatchNorm | nn.BatchNorm):
            return call(*args, **kwargs)
        held = freeze is not None and is_frozen(freeze, "/".join((*module.path, "scale")))
        if isinstance(module, BatchNorm):
            return call(*args, **{**kwargs, "train": False}) if held else call(*args, **kwargs)
        if not held and not current().frozen_norm:
            return call(*args, **kwargs)
        # As a field, whether it was given as one or as an argument: Flax refuses both. The module is this call's alone.
        object.__setattr__(module, "use_running_average", True)
        return call(*args[:1], **{name: value for name, value in kwargs.items() if name != "use_running_average"})

    return nn.intercept_methods(evaluate)


def freeze_updates(optimizer: optax.GradientTransformation, freeze: str | None) -> optax.GradientTransformation:
    """The optimiser for the parameters that move; the others stay where they are."""
    if freeze is None:
        return optimizer
    # Not optax.masked, which passes the gradients of the others through as updates.
    return optax.partition({False: optimizer, True: optax.set_to_zero()}, lambda params: matching(freeze, params))


def matching(pattern: str, params: Any) -> Any:
    """A tree of booleans: whether a regular expression matches the beginning of a parameter's name."""
    return jax.tree_util.tree_map_with_path(lambda path, _: is_frozen(pattern, "/".join(k.key for k in path)), params)
