"""Everything that training changes, as one tree of arrays."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Int

from cnn_jax.models import initialize
from cnn_jax.randomness import Seed, random_key
from cnn_jax.training.loss_scale import LossScale
from cnn_jax.training.schedule_free import evaluated_params

# Parts that only some runs have. Elsewhere they are no part of the tree, not even as None: Orbax writes that down as
# well, and the checkpoints of all other runs would depend on them.
_OCCASIONAL = ("ema_batch_stats", "ema_updates")


@jax.tree_util.register_pytree_with_keys_class
@dataclasses.dataclass(frozen=True)
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
    ema_batch_stats: Any = None
    """The same average of the running statistics; None where there are none, or no average."""
    ema_updates: Int[Array, ""] | None = None
    """How often the average was updated, where that may be less than `step`: with float16, which skips steps."""

    @property
    def eval_variables(self) -> dict[str, Any]:
        """What evaluation uses: the averaged parameters with their statistics, where there are any."""
        params = evaluated_params(self.opt_state, self.params) if self.ema is None else self.ema
        batch_stats = self.batch_stats if self.ema_batch_stats is None else self.ema_batch_stats
        return {"params": params, "batch_stats": batch_stats}

    def tree_flatten_with_keys(self) -> tuple[list[tuple[Any, Any]], tuple[str, ...]]:
        """For JAX: the parts with their names."""
        names = getattr(self, "_names", None) or tuple(
            f.name for f in dataclasses.fields(self) if f.name not in _OCCASIONAL or getattr(self, f.name) is not None
        )
        return [(jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in names], names

    @classmethod
    def tree_unflatten(cls, names: tuple[str, ...], parts: Sequence[Any]) -> "TrainState":
        """For JAX: the inverse."""
        state = cls(**dict(zip(names, parts, strict=True)))
        # JAX puts None in the place of arrays, too, and wants the tree as it was.
        object.__setattr__(state, "_names", names)
        return state


def create_state(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    image_shape: tuple[int, int, int],
    *,
    seed: Seed,
    ema: bool,
    loss_scale: bool = False,
) -> TrainState:
    """The state before the first step: parameters drawn from (seed, "init"), zero statistics and optimiser state.

    Args:
      image_shape: (H, W, C) as the network sees them, after augmentation.
      ema: keep a moving average of the parameters and of the running statistics.
      loss_scale: scale the loss, as float16 needs.
    """
    keys = {"params": random_key(seed, "init"), "dropout": random_key(seed, "init_dropout")}
    variables = initialize(model, keys, image_shape)
    params, batch_stats = variables["params"], variables.get("batch_stats", {})
    state = TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=batch_stats,
        opt_state=optimizer.init(params),
        ema=None,
        loss_scale=LossScale.create() if loss_scale else None,
    )
    return start_average(state) if ema else state


def start_average(state: TrainState) -> TrainState:
    """The state with an average that starts from its parameters and running statistics."""
    # Copies: all are donated to the step, and one buffer cannot be donated twice.
    ema, statistics = jax.tree.map(jnp.copy, (state.params, state.batch_stats))
    updates = None if state.loss_scale is None else jnp.zeros((), jnp.int32)
    return dataclasses.replace(state, ema=ema, ema_batch_stats=statistics or None, ema_updates=updates)
