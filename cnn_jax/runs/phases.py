"""Which parameters are meant by the patterns of `optim`: by the names of layers, or of the stages of the network."""

import dataclasses
from typing import Any

from flax import linen as nn

from cnn_jax.config import Config, named
from cnn_jax.models.stages import in_layers


def by_layers(config: Config, model: nn.Module, image_shape: tuple[int, int, int]) -> Config:
    """The configuration with the names of stages in `optim` as the layers that they stand for in this network.

    Args:
      image_shape: (H, W, C) as the network sees them.

    Raises:
      ConfigError: for a stage without parameters, naming the key.
    """
    optim = config.optim
    changes: dict[str, Any] = {}
    with named("optim.freeze"):
        if optim.freeze is not None:
            changes["freeze"] = in_layers(optim.freeze, model, image_shape)
    with named("optim.decay"):
        if optim.decay not in ("kernels", "all"):
            changes["decay"] = in_layers(optim.decay, model, image_shape)
    with named("optim.rate_factors"):
        changes["rate_factors"] = tuple(in_layers(text, model, image_shape) for text in optim.rate_factors)
    return dataclasses.replace(config, optim=dataclasses.replace(optim, **changes))
