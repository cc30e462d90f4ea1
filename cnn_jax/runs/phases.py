"""Which parameters the patterns of `optim` mean, by the names of layers or of stages, and when they begin to move."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from flax import linen as nn

from cnn_jax.config import Config, named
from cnn_jax.models.stages import in_layers
from cnn_jax.training import freeze
from cnn_jax.training.freeze import Phase


def by_layers(config: Config, model: nn.Module, image_shape: tuple[int, int, int]) -> Config:
    """The configuration with the names of stages in `optim` as the layers that they stand for in this network.

    Args:
      image_shape: (H, W, C) as the network sees them.

    Raises:
      ConfigError: for a stage without parameters, naming the key.
    """
    optim = config.optim
    changes: dict[str, Any] = {}
    for key in ("freeze", "unfreeze", "decay", "rate_factors"):
        value = getattr(optim, key)
        with named(f"optim.{key}"):
            if isinstance(value, tuple):
                changes[key] = tuple(in_layers(text, model, image_shape) for text in value)
            elif value not in (None, "kernels", "all"):
                changes[key] = in_layers(value, model, image_shape)
    return dataclasses.replace(config, optim=dataclasses.replace(optim, **changes))


def phases(config: Config, steps: int) -> list[Phase]:
    """The parts of a run of so many steps, by what stands still, the patterns as `by_layers` leaves them."""
    starts = [(pattern, round(fraction * steps)) for pattern, fraction in unfreezing(config)]
    return freeze.phases(config.optim.freeze, starts)


def unfreezing(config: Config) -> list[tuple[str, float]]:
    """The patterns of `optim.unfreeze` with their fractions of the run, in their order.

    Raises:
      ConfigError: for what is no pattern with a fraction.
    """
    rule = "PATTERN=FRACTION with a fraction of the run between 0 and 1, such as stage3=0.2"
    found = _numbers(config.optim.unfreeze, "optim.unfreeze", 1.0, rule)
    return sorted(found, key=lambda each: each[1])


def rate_factors(config: Config) -> list[tuple[str, float]]:
    """The patterns of `optim.rate_factors` with their factors.

    Raises:
      ConfigError: for what is no pattern with a positive factor.
    """
    rule = "PATTERN=FACTOR with a positive factor, such as head=10"
    return _numbers(config.optim.rate_factors, "optim.rate_factors", math.inf, rule)


def _numbers(texts: Sequence[str], key: str, below: float, rule: str) -> list[tuple[str, float]]:
    found = []
    for text in texts:
        pattern, _, number = text.rpartition("=")
        with named(key):
            try:
                value = float(number)
            except ValueError:
                value = 0.0
            if not pattern or not 0 < value < below:
                raise ValueError(f"{text!r} must be {rule}.")
        found.append((pattern, value))
    return found
