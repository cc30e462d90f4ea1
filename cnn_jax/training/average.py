"""The moving average that evaluation uses: of the parameters and of BatchNorm's running statistics, alike."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cnn_jax.training.state import TrainState


def average_into(new: TrainState, old: TrainState, *, decay: float) -> TrainState:
    """The state after a step, which has no average yet, with that of the state before, moved towards its parameters.

    BatchNorm's running statistics are averaged as the parameters are (as timm averages a network's buffers): those of
    other parameters would normalise wrongly.

    Args:
      decay: 0 to 1, not counting the warm-up of `moving_average`.
    """
    # Steps that loss scaling skips are none of the average's, so the steps do not count its updates there.
    updates = old.step if old.ema_updates is None else old.ema_updates
    average = moving_average(old.eval_variables, new.eval_variables, decay=decay, updates=updates)
    return dataclasses.replace(
        new,
        ema=average["params"],
        ema_batch_stats=average["batch_stats"] or None,
        ema_updates=None if old.ema_updates is None else updates + 1,
    )


def moving_average(average: Any, new: Any, *, decay: float, updates: Int[Array, ""]) -> Any:
    """`d * average + (1 - d) * new`, with d = min(decay, (1 + t) / (10 + t)) after t updates.

    The average forgets sooner at first, so that the random start does not outweigh a short run: TensorFlow's
    `ExponentialMovingAverage` with `num_updates`, as used for Inception (Szegedy et al. 2016) and EfficientNet.

    Args:
      average, new: trees of arrays of the same structure, shapes and dtypes.
      decay: 0 to 1.
      updates: t, those made before this one.

    Returns:
      The tree of averages; to the bit as it was, where `new` equals it.
    """

    def move(mean: Array, value: Array) -> Array:
        share = jnp.maximum(1 - decay, 9 / (10 + updates.astype(mean.dtype)))
        return mean + share * (value - mean)

    return jax.tree.map(move, average, new)
