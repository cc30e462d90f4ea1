"""Settings without effect, found once the network and the data set are known: they would only rename the run."""

from collections.abc import Mapping
from typing import Any

from cnn_jax.config import Config, ConfigError


def check_effects(config: Config, variables: Mapping[str, Any], *, scales: bool) -> None:
    """Refuses what this network, or the operations on its images, have no use for.

    Args:
      variables: of the network, or their shapes.
      scales: whether an operation of training or evaluation scales images.

    Raises:
      ConfigError: naming the key and the remedy.
    """
    for key in ("ghost_batch", "frozen_norm", "unbiased_variance"):
        value = getattr(config.model, key)
        if value and "batch_stats" not in variables:
            meant = ", which `parallel.batch_norm` per_device stands for," if key == "ghost_batch" else ""
            raise ConfigError(
                f"`model.{key}`{meant} is {value}: it has no effect on {config.model.name}, which has no "
                "BatchNorm here; leave it out."
            )
    data = config.data
    if data.interpolation != "bilinear" and not scales:
        raise ConfigError(
            f"`data.interpolation` is {data.interpolation}: nothing in `data.augment` and `data.eval_augment` scales "
            'images, so it has no effect; leave it out, or add e.g. "resize(32)".'
        )
