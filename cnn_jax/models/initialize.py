"""Fresh variables for a network, without waiting minutes for a compiler."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

from cnn_jax.randomness import jit_draws


def initialize(model: nn.Module, keys: dict[str, Array], image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Draws the variables of a network: `model.init`, compiled; the forward pass is traced for its shapes only.

    Inside a function that is being traced (`jax.jit`, `jax.eval_shape`) it becomes a part of that one's program.

    Args:
      model: from `create_model`, or any Flax module that is called in the same way.
      keys: random keys by purpose: "params", and "dropout" for the models that have any.
      image_shape: height, width, channels.

    Returns:
      Variables by collection: "params", and "batch_stats" where the network has them. Equal keys give equal bits, which
      are those of `jax.jit(model.init)` and of the state that a training run starts from.
    """

    def init(keys: dict[str, Array]) -> dict[str, Any]:
        return dict(model.init(keys, jnp.zeros((1, *image_shape), jnp.float32), train=False))

    return jit_draws(init)(keys)


def abstract_variables(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """The shapes and dtypes of a network's variables, at no cost: a tree of `jax.ShapeDtypeStruct`."""

    def init(key: Array) -> dict[str, Any]:
        return initialize(model, {"params": key, "dropout": key}, image_shape)

    return jax.eval_shape(init, jax.random.key(0))
