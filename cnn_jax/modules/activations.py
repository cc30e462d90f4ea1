"""Activations by name, so that an experiment can put ReLU beside the sigmoid whose gradients vanish."""

from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "leaky_relu": nn.leaky_relu,  # slope 0.01
    "elu": nn.elu,
    "gelu": nn.gelu,  # the tanh approximation
    "silu": nn.silu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
}


def activate(name: str, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Applies the activation called `name` (a key of `ACTIVATIONS`) element by element."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; it is one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name](x)
