"""Activations by name, so that an experiment can put ReLU beside the sigmoid whose gradients vanish."""

from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float

from cnn_jax.ops.precision import sum_dtype


def _in_full_precision(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The function in float32 or wider, rounded once: half precision would round its constants, such as a slope."""
    return lambda x: function(x.astype(sum_dtype(x))).astype(x.dtype)


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": nn.relu,
    "leaky_relu": _in_full_precision(nn.leaky_relu),  # slope 0.01
    "elu": nn.elu,
    "gelu": _in_full_precision(nn.gelu),  # the tanh approximation
    "silu": nn.silu,
    "tanh": nn.tanh,
    "sigmoid": nn.sigmoid,
}


def activate(name: str, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Applies the activation called `name` (a key of `ACTIVATIONS`) element by element."""
    if name not in ACTIVATIONS:
        raise ValueError(f"unknown activation {name!r}; it is one of {', '.join(ACTIVATIONS)}.")
    return ACTIVATIONS[name](x)
