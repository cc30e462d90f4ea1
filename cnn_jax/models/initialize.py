"""Fresh variables for a network, without waiting minutes for a compiler."""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array

# XLA unrolls the random generator once a kernel and optimises each copy: 60 s for ResNet-50 on two cores, 4 s without.
# The integers drawn are the same; what is left is a few arithmetic operations per parameter, run once.
_COMPILER_OPTIONS = {"xla_backend_optimization_level": 0}


def initialize(model: nn.Module, keys: dict[str, Array], image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """Draws the variables of a network: `model.init`, compiled; the forward pass is traced for its shapes only.

    Args:
      model: from `create_model`.
      keys: random keys by purpose: "params", and "dropout" for the models that have any.
      image_shape: height, width, channels.

    Returns:
      Variables by collection: "params", and "batch_stats" where the network has them. Equal keys give equal bits.
    """

    def init(keys: dict[str, Array]) -> dict[str, Any]:
        return dict(model.init(keys, jnp.zeros((1, *image_shape), jnp.float32), train=False))

    return jax.jit(init, compiler_options=_COMPILER_OPTIONS)(keys)


def abstract_variables(model: nn.Module, image_shape: tuple[int, int, int]) -> dict[str, Any]:
    """The shapes and dtypes of a network's variables, at no cost: a tree of `jax.ShapeDtypeStruct`."""

    def init(key: Array) -> dict[str, Any]:
        keys = {"params": key, "dropout": key}
        return dict(model.init(keys, jnp.zeros((1, *image_shape), jnp.float32), train=False))

    return jax.eval_shape(init, jax.random.key(0))
