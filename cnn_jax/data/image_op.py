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


def check_fraction(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}.")


def check_range(name: str, value: tuple[float, float], low: float, high: float = float("inf")) -> None:
    """Refuse what is no pair low < value[0] ≤ value[1] ≤ high."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not low < value[0] <= value[1] <= high:
        raise ValueError(f"`{name}` must be a pair (a, b) with {low} < a ≤ b ≤ {high}, got {value}.")
