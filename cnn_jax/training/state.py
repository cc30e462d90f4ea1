"""Everything that training changes, as one tree of arrays."""

from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Int

from cnn_jax.randomness import random_key
from cnn_jax.training.loss_scale import LossScale


@flax.struct.dataclass
class TrainState:
    """The state of a run: arrays only, so it can be saved, sharded and donated as it is."""

    step: Int[Array, ""]
    """Steps taken so far."""
    params: Any
    batch_stats: Any
    """Running statistics of BatchNorm; empty for networks without it."""
    opt_state: optax.OptState
    ema: Any
    """Exponential moving average of the parameters; None when `optim.ema_decay` is None."""
    loss_scale: LossScale | None = None
    """With float16 only."""

    @property
    def eval_variables(self) -> dict[str, Any]:
        """What evaluation uses: the averaged parameters where there are any."""
        params = self.params if self.ema is None else self.ema
        return {"params": params, "batch_stats": self.batch_stats}


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, int, int],
    *,
    seed: int,
    ema: bool,
    loss_scale: bool = False,
) -> TrainState:
    """The state before the first step: parameters drawn from (seed, "init"), zero statistics and optimiser state.

    Args:
      image_shape: (H, W, C) as the network sees them, after augmentation.
      ema: keep a moving average of the parameters.
      loss_scale: scale the loss, as float16 needs.
    """
    images = jnp.zeros((1, *image_shape), jnp.float32)
    keys = {"params": random_key(seed, "init"), "dropout": random_key(seed, "init_dropout")}
    variables = model.init(keys, images, train=False)
    params = variables["params"]
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables.get("batch_stats", {}),
        opt_state=optimizer.init(params),
        # A copy: params and ema are both donated to the step, and one buffer cannot be donated twice.
        ema=jax.tree.map(jnp.copy, params) if ema else None,
        loss_scale=LossScale.create() if loss_scale else None,
    )
