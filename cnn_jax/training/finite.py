"""Whether a state is still one of numbers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool


@jax.jit
def _finite(leaves: list[Array]) -> Bool[Array, "leaves"]:
    return jnp.stack([jnp.isfinite(x).all() for x in leaves])


def not_finite(tree: Any) -> list[str]:
    """The paths of the leaves that hold NaN or infinity; integers never do."""
    leaves = [(path, x) for path, x in jax.tree.leaves_with_path(tree) if jnp.issubdtype(x.dtype, jnp.inexact)]
    if not leaves:
        return []
    finite = jax.device_get(_finite([x for _, x in leaves]))
    return [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for (path, _), good in zip(leaves, finite, strict=True)
        if not good
    ]
