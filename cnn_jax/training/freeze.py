"""Layers that stand still, as in transfer learning: `optim.freeze` says which, `optim.unfreeze` until when.

A frozen parameter is a constant of the loss, so the backward pass stops at the lowest layer that moves; the optimiser
keeps no state for what never moves, and no weight decay reaches what does not move yet. A frozen BatchNorm uses its
running averages and does not move them. Dropout stays on everywhere.
"""

import contextlib
import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from cnn_jax.modules import BatchNorm
from cnn_jax.ops import current


@dataclasses.dataclass(frozen=True)
class Phase:
    """A part of a run in which the same parameters stand still."""

    first_step: int
    freeze: str | None
    """As `is_frozen` takes it; None: all move."""


def phases(freeze: str | None, unfreeze: Sequence[tuple[str, int]]) -> list[Phase]:
    """The parts of a run, the first from step 0 on.

    Args:
      freeze: what stands still at first.
      unfreeze: (pattern, step): what moves from that step on.

    Example:
      >>> for phase in phases("stem|stage", [("stage3", 20), ("stage2", 40)]):
      ...     print(phase.first_step, phase.freeze)
      0 stem|stage
      20 (?!stage3)(?:stem|stage)
      40 (?!stage3|stage2)(?:stem|stage)
    """
    found = []
    for start in sorted({0, *(step for _, step in unfreeze)}):
        moving = [pattern for pattern, step in unfreeze if step <= start]
        found.append(Phase(start, f"(?!{'|'.join(moving)})(?:{freeze})" if moving else freeze))
    return found


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


def check_unfreeze(freeze: str, unfreeze: Sequence[tuple[str, float]], params: Any) -> None:
    """Refuses what would free nothing.

    Args:
      unfreeze: patterns, in the order in which what they match begins to move.

    Raises:
      ValueError: saying of which pattern that is so.
    """
    still = matching(freeze, params)
    for pattern, _ in unfreeze:
        check_pattern(pattern, params)
        before, still = still, jax.tree.map(lambda held, freed: held and not freed, still, matching(pattern, params))
        if before == still:
            raise ValueError(f"{pattern!r} matches no parameter that is frozen until then, so it has no effect.")


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


def begin_by_phase(
    make: Callable[[int], optax.GradientTransformation], parts: Sequence[Phase], now: int
) -> optax.GradientTransformation:
    """An optimiser for what begins to move in each phase, which begins then; in every phase with a state of one shape.

    Args:
      make: of the step at which it begins.
      parts: of the run, as `phases` gives them.
      now: the number of the phase that this one is for.
    """
    names = [f"from step {part.first_step}" for part in parts]
    makers = {name: make(part.first_step) for name, part in zip(names, parts, strict=True)}
    asleep = {name: _asleep(makers[name]) for name in names[now + 1 :]}

    def begins(params: Any) -> Any:
        still = [matching(part.freeze or "(?!)", params) for part in parts]
        # What is free once stays so: a parameter stands still in as many phases as come before its own.
        return jax.tree.map(lambda *held: [*names, "never"][sum(held)], *still)

    return optax.partition({**makers, **asleep, "never": optax.set_to_zero()}, begins)


def _asleep(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    """With the state of an optimiser that has not begun, which stays, and no updates."""
    return optax.GradientTransformation(
        optimizer.init, lambda updates, state, params=None: (jax.tree.map(jnp.zeros_like, updates), state)
    )


def matching(pattern: str, params: Any) -> Any:
    """A tree of booleans: whether a regular expression matches the beginning of a parameter's name."""
    return jax.tree_util.tree_map_with_path(lambda path, _: is_frozen(pattern, "/".join(k.key for k in path)), params)
