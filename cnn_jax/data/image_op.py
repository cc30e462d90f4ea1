"""The shape of an augmentation: a function of one image, with or without a key of its own."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jaxtyping import Array, Key, Num

Image = Num[Array, "h w c"]
RandomKey = Key[Array, ""]


@dataclass(frozen=True)
class RandomOp:
    """`apply(key, image) -> image`: every example brings its own key. For training only."""

    apply: Callable[[RandomKey, Image], Image]


@dataclass(frozen=True)
class FixedOp:
    """`apply(image) -> image`: the same for every example and epoch, so it may stand in evaluation too."""

    apply: Callable[[Image], Image]


ImageOp = RandomOp | FixedOp


def uniform(key: RandomKey, low: float, high: float) -> jax.Array:
    """One float32 from [low, high)."""
    return jax.random.uniform(key, (), minval=low, maxval=high)
