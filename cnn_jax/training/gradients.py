"""The gradient of the training loss, over a batch at once or in micro-batches."""

from collections.abc import Callable
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.sharding import NamedSharding
from jaxtyping import Array, Float, Int

from cnn_jax import ops
from cnn_jax.config import Config, ModelConfig
from cnn_jax.parallel import Layout
from cnn_jax.randomness import random_key, rows_of_batch
from cnn_jax.training.flax_layers import refuse_partial_batches
from cnn_jax.training.freeze import hold, hold_statistics
from cnn_jax.training.metrics import losses
from cnn_jax.training.state import TrainState


@flax.struct.dataclass
class Forward:
    """What the forward pass of a step leaves, beside the gradient."""

    loss: Float[Array, "b"]
    logits: Float[Array, "b k"]
    batch_stats: Any


GradientsOf = Callable[[TrainState, Array, Array], tuple[Any, Forward]]


def make_gradients(model: nn.Module, layout: Layout, config: Config) -> GradientsOf:
    """The function `(state, images, labels) -> (gradients, Forward)`, of the mean loss over the rows it sees.

    With `parallel.accumulate` n, the rows are cut into n micro-batches that are worked through in turn, and the
    gradients averaged: the memory of activations falls to an n-th.  Without BatchNorm the result is that of the whole
    batch; BatchNorm normalises every micro-batch by itself, and its running statistics move n times a step.
    """
    parts = config.parallel.accumulate
    aux_weight: dict[str, float] = model.aux_weight  # type: ignore[assignment]
    smoothing, freeze = config.optim.label_smoothing, config.optim.freeze
    context = step_context(config.model, layout.batch)

    def of_rows(state: TrainState, batch_stats: Any, images: Array, labels: Array, rows: Array) -> tuple[Any, Forward]:
        scale = 1 if state.loss_scale is None else state.loss_scale.scale

        def loss_of(params: Any) -> tuple[Array, Forward]:
            logits, updates = model.apply(
                {"params": hold(freeze, params), "batch_stats": batch_stats},
                images,
                train=True,
                mutable=["batch_stats", "features"],
                rngs={"dropout": random_key(config.seed, "dropout", state.step)},
            )
            loss = losses(logits, labels, smoothing)
            for head, weight in aux_weight.items():
                loss += weight * losses(updates["features"][head], labels, smoothing)
            return loss.mean() * scale, Forward(loss, logits, updates.get("batch_stats", {}))

        with (
            ops.context(context),
            rows_of_batch(rows, config.data.batch_size),
            hold_statistics(freeze),
            refuse_partial_batches(layout.batch, parts),
        ):
            gradients, forward = jax.grad(loss_of, has_aux=True)(state.params)
        if state.loss_scale is not None:
            gradients = jax.tree.map(lambda g: g / scale, gradients)
        return gradients, forward

    def of_micro_batches(
        state: TrainState, images: Float[Array, "b h w c"], labels: Int[Array, "b"] | Float[Array, "b k"]
    ) -> tuple[Any, Forward]:
        rows = layout.row_numbers(len(labels))
        if parts == 1:
            return of_rows(state, state.batch_stats, images, labels, rows)

        def add(carry: tuple[Any, Any], part: tuple[Array, Array, Array]) -> tuple[Any, tuple[Array, Array]]:
            total, batch_stats = carry
            gradients, forward = of_rows(state, batch_stats, *part)
            total = jax.tree.map(jnp.add, total, gradients)
            return (total, forward.batch_stats), (forward.loss, forward.logits)

        # Micro-batch i takes rows i, i + n, i + 2n, …: every device finds its share among its own rows.
        dealt = (_deal(images, parts), _deal(labels, parts), _deal(rows, parts))
        zeros = jax.tree.map(jnp.zeros_like, state.params)
        (total, batch_stats), (loss, logits) = jax.lax.scan(add, (zeros, state.batch_stats), dealt)
        gradients = jax.tree.map(lambda g: g / parts, total)
        return gradients, Forward(_collect(loss), _collect(logits), batch_stats)

    return of_micro_batches


def step_context(model: ModelConfig, batch: NamedSharding | str | None) -> ops.Context:
    """In which the forward and backward pass of a step are computed."""
    return ops.Context(model.conv, batch, model.ghost_batch, model.frozen_norm, model.unbiased_variance)


def _deal(rows: Array, parts: int) -> Array:
    """[b, …] to [parts, b / parts, …], row r to part r mod parts."""
    return rows.reshape(-1, parts, *rows.shape[1:]).swapaxes(0, 1)


def _collect(dealt: Array) -> Array:
    """The inverse of `_deal`."""
    return dealt.swapaxes(0, 1).reshape(-1, *dealt.shape[2:])
