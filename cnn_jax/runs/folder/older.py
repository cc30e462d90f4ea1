"""Checkpoints that cnn_jax 0.1 wrote: what has come into the state since then is filled in."""

import dataclasses
import warnings
from typing import Any

import jax
import jax.numpy as jnp

# Each field that 0.1 did not have, the field of the same state that it starts from, and what it is.
_ADDED = {
    "ema_batch_stats": ("batch_stats", "BatchNorm statistics"),
    "ema_updates": ("step", "count of updates"),
}


def _added(node: Any) -> list[str]:
    fields = {f.name for f in dataclasses.fields(node)} if dataclasses.is_dataclass(node) else set()
    return [name for name in _ADDED if name in fields]


def _grown(node: Any) -> bool:
    return bool(_added(node))


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
        return dataclasses.replace(node, **values, **dict.fromkeys(_added(node))) if _grown(node) else values

    return jax.tree.map(grow, target, restored, is_leaf=_grown)


def with_added(restored: Any, target: Any, where: str) -> Any:
    """The same with the new fields that the target has filled in, and a warning that says so."""

    def fill(node: Any, state: Any) -> Any:
        names = [name for name in _added(node) if jax.tree.leaves(getattr(node, name))]
        if names:
            what = " and ".join(_ADDED[name][1] for name in names)
            warnings.warn(
                f"{where} was written by cnn_jax 0.1, whose average of parameters has no {what} of its own: it starts "
                "with the run's.",
                stacklevel=2,
            )
        # A copy: both fields are donated to the step, and one buffer cannot be donated twice.
        values = {name: jax.tree.map(jnp.copy, getattr(state, _ADDED[name][0])) for name in names}
        return dataclasses.replace(state, **values) if names else state

    return jax.tree.map(fill, target, restored, is_leaf=_grown)
