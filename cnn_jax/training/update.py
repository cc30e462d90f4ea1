"""One move of the parameters, and of all that follows them: optimiser state, averages, the scale of the loss."""

import dataclasses
from collections.abc import Callable
from typing import Any

import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from cnn_jax.training.average import average_into
from cnn_jax.training.loss_scale import all_finite, select_state
from cnn_jax.training.state import TrainState

Update = Callable[[TrainState, Any, Any, Array, Callable[[Any], Array]], tuple[TrainState, ArrayLike]]


def make_update(optimizer: optax.GradientTransformationExtraArgs, *, ema_decay: float | None = None) -> Update:
    """The function `(state, gradients, batch_stats, loss, objective) -> (state, finite)`.

    `batch_stats` are the running statistics after the step, `loss` its mean loss, `objective` that loss as a function
    of the parameters, which optimisers may ask for; `finite` is false where loss scaling skips the step.
    """

    def update(
        state: TrainState, gradients: Any, batch_stats: Any, loss: Array, objective: Callable[[Any], Array]
    ) -> tuple[TrainState, ArrayLike]:
        updates, opt_state = optimizer.update(
            gradients,
            state.opt_state,
            state.params,
            value=loss,
            grad=gradients,
            value_fn=objective,
            obj_fn=objective,
        )
        params = optax.apply_updates(state.params, updates)
        new = TrainState(state.step + 1, params, batch_stats, opt_state, ema=None)
        if ema_decay is not None:
            new = average_into(new, state, decay=ema_decay)
        if state.loss_scale is None:
            return new, True
        finite = all_finite(gradients)
        new = select_state(finite, new, dataclasses.replace(state, step=new.step, loss_scale=None))
        return dataclasses.replace(new, loss_scale=state.loss_scale.adjust(finite)), finite

    return update
