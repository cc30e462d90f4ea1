"""Checkpoints that cnn_jax 0.1 wrote: what has come into the state since then is filled in."""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp

# Each field that 0.1 did not have, and the field of the same state that it starts from.
_ADDED = {"ema_batch_stats": "batch_stats"}


def _grown(node: Any) -> bool:
    return dataclasses.is_dataclass(node) and any(hasattr(node, name) for name in _ADDED)


def as_written(tree: Any) -> Any:
    """A target in the form that 0.1 saved: states with new fields are dictionaries without them."""

    def shrink(node: Any) -> Any:
        if not _grown(node):
            return node
        return {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if f.name not in _ADDED}

    return jax.tree.map(shrink, tree, is_leaf=_grown)


def without_added(restored: Any, target: Any) -> Any:
    """What was restored into `as_written(target)`, as states, their new fields None: the leaves in 0.1's order."""

    def grow(node: Any, values: Any) -> Any:
        return dataclasses.replace(node, **values, **dict.fromkeys(_ADDED)) if _grown(node) else values

    return jax.tree.map(grow, target, restored, is_leaf=_grown)


def with_added(restored: Any, target: Any, where: str) -> Any:
    """The same with the new fields that the target has filled in, and a warning that says so."""

    def fill(node: Any, state: Any) -> Any:
        if not _grown(node):
            return state
        names = [name for name in _ADDED if getattr(node, name) is not None and jax.tree.leaves(getattr(node, name))]
        if names:
            warnings.warn(
                f"{where} was written by cnn_jax 0.1, whose average of parameters has no BatchNorm statistics of its "
                "own: it starts with the run's.",
                stacklevel=2,
            )
        # A copy: both fields are donated to the step, and one buffer cannot be donated twice.
        return dataclasses.replace(state, **{n: jax.tree.map(jnp.copy, getattr(state, _ADDED[n])) for n in names})

    return jax.tree.map(fill, target, restored, is_leaf=_grown)
