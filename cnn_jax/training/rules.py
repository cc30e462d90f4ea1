"""Gradient rules: where the gradient is taken that the optimiser is given.

A rule is a function `(gradient, state, batch) -> (gradients, forward)`. `gradient(params)` gives the gradient of the
mean loss over the global batch, whatever devices and micro-batches it was worked out on, so that its norm means one
thing everywhere; the state's running statistics become those of the `forward` that the rule returns.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax.training.gradient import Forward
from cnn_jax.training.state import TrainState

GradientAt = Callable[[Any], tuple[Any, Forward]]
Rule = Callable[[GradientAt, TrainState, Any], tuple[Any, Forward]]


def plain(gradient: GradientAt, state: TrainState, batch: Any) -> tuple[Any, Forward]:
    """The gradient at the parameters themselves."""
    return gradient(state.params)


def sam(gradient: GradientAt, state: TrainState, batch: Any, *, rho: float = 0.05) -> tuple[Any, Forward]:
    """Sharpness-aware minimisation: the gradient from where the loss is highest nearby, to first order.

    Twice the work of a plain step. Loss, logits and running statistics are those at the parameters themselves.

    Args:
      rho: how far away, as a Euclidean norm over all parameters (0.05: Foret et al. 2021, section 3.1).

    Source: Foret et al. 2021, equations 2 and 3.
    """
    gradients, forward = gradient(state.params)
    norm = optax.tree.norm(gradients)
    scale = rho / jnp.maximum(norm, jnp.finfo(norm.dtype).tiny)  # where there is no slope, there is no uphill
    uphill = jax.tree.map(lambda p, g: p + (scale * g).astype(p.dtype), state.params, gradients)
    return gradient(uphill)[0], forward


RULES: dict[str, Callable[..., tuple[Any, Forward]]] = {"plain": plain, "sam": sam}
