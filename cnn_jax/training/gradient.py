"""The gradient of the training loss over the global batch, at once or in micro-batches."""

from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float, Int

from cnn_jax import ops
from cnn_jax.parallel import Layout
from cnn_jax.randomness import Seed, random_key, rows_of_batch
from cnn_jax.training.flax_layers import refuse_partial_batches
from cnn_jax.training.freeze import frozen_batch_norm, stop_frozen
from cnn_jax.training.losses import Loss
from cnn_jax.training.state import TrainState


@flax.struct.dataclass
class Forward:
    """What the forward pass of a step leaves, beside the gradient."""

    loss: Float[Array, "b"]
    logits: Float[Array, "b k"]
    batch_stats: Any


OfRows = Callable[[TrainState, Any, Any, Array, Array, Array], tuple[Any, Forward]]
Gradient = Callable[[TrainState, Any, Array, Array], tuple[Any, Forward]]


def loss_gradient(
    model: nn.Module,
    loss: Loss,
    *,
    context: ops.Context,
    seed: Seed,
    batch_size: int,
    micro_batches: int = 1,
    freeze: str | None = None,
) -> OfRows:
    """The function `(state, params, batch_stats, images, targets, rows) -> (gradients, Forward)` of the mean loss.

    The rows are those that it sees, by their numbers in the global batch of `batch_size`. Dropout is drawn from
    (seed, step). Auxiliary classifiers, `model.aux_weight` by name, add their losses.

    Args:
      context: in which the forward and backward pass are computed.
      micro_batches: in a step, of which this one takes a gradient each.
    """
    aux_weight: Mapping[str, float] = getattr(model, "aux_weight", {})

    def of_rows(
        state: TrainState, params: Any, batch_stats: Any, images: Array, targets: Array, rows: Int[Array, "b"]
    ) -> tuple[Any, Forward]:
        scale = 1 if state.loss_scale is None else state.loss_scale.scale

        def loss_of(params: Any) -> tuple[Array, Forward]:
            logits, updates = model.apply(
                {"params": stop_frozen(freeze, params), "batch_stats": batch_stats},
                images,
                train=True,
                mutable=["batch_stats", "features"],
                rngs={"dropout": random_key(seed, "dropout", state.step)},
            )
            each = loss(logits, targets)
            for head, weight in aux_weight.items():
                each += weight * loss(updates["features"][head], targets)
            return each.mean() * scale, Forward(each, logits, updates.get("batch_stats", {}))

        with (
            ops.context(context),
            rows_of_batch(rows, batch_size),
            frozen_batch_norm(freeze),
            refuse_partial_batches(context.batch, micro_batches),
        ):
            gradients, forward = jax.grad(loss_of, has_aux=True)(params)
        if state.loss_scale is not None:
            gradients = jax.tree.map(lambda g: g / scale, gradients)
        return gradients, forward

    return of_rows


def over_batch(
    of_rows: OfRows, layout: Layout, *, micro_batches: int = 1, average_statistics: bool = False
) -> Gradient:
    """The function `(state, params, images, targets) -> (gradients, Forward)`, of the mean loss over the global batch.

    With n micro-batches the rows are cut into n parts that are worked through in turn, and the gradients averaged: the
    memory of activations falls to an n-th.  Without BatchNorm the result is that of the whole batch; BatchNorm
    normalises every micro-batch by itself, and its running statistics move n times a step.

    Args:
      average_statistics: over the devices, where BatchNorm does not do so itself.

    Returns:
      The function; its `Forward` holds the rows of this device.
    """

    def of_batch(state: TrainState, params: Any, images: Array, targets: Array) -> tuple[Any, Forward]:
        rows = layout.row_numbers(len(targets))
        if micro_batches == 1:
            gradients, forward = of_rows(state, params, state.batch_stats, images, targets, rows)
        else:

            def add(carry: tuple[Any, Any], part: tuple[Array, ...]) -> tuple[Any, tuple[Array, Array]]:
                total, batch_stats = carry
                gradients, forward = of_rows(state, params, batch_stats, *part)
                total = jax.tree.map(jnp.add, total, gradients)
                return (total, forward.batch_stats), (forward.loss, forward.logits)

            # Micro-batch i takes rows i, i + n, i + 2n, …: every device finds its share among its own rows.
            parts: tuple[Array, ...] = tuple(_to_micro_batches(each, micro_batches) for each in (images, targets, rows))
            zeros = jax.tree.map(jnp.zeros_like, params)
            (total, batch_stats), (loss, logits) = jax.lax.scan(add, (zeros, state.batch_stats), parts)
            gradients = jax.tree.map(lambda g: g / micro_batches, total)
            forward = Forward(_from_micro_batches(loss), _from_micro_batches(logits), batch_stats)
        gradients = layout.mean(gradients)
        if average_statistics:
            forward = Forward(forward.loss, forward.logits, layout.mean(forward.batch_stats))
        return gradients, forward

    return of_batch


def objective(gradient: Callable[[Any], tuple[Any, Forward]], layout: Layout) -> Callable[[Any], Float[Array, ""]]:
    """The mean loss over the global batch as a function of the parameters, its derivative the gradient given.

    For optimisers that look at the loss elsewhere (line searches, estimates of curvature): derived through the
    devices' mean, each device would find the derivative of its own rows alone.
    """

    def mean_loss(forward: Forward) -> Float[Array, ""]:
        return layout.mean(forward.loss.mean())

    @jax.custom_vjp
    def value(params: Any) -> Float[Array, ""]:
        return mean_loss(gradient(params)[1])

    def with_gradient(params: Any) -> tuple[Float[Array, ""], Any]:
        gradients, forward = gradient(params)
        return mean_loss(forward), gradients

    value.defvjp(with_gradient, lambda gradients, by: (jax.tree.map(lambda g: (by * g).astype(g.dtype), gradients),))

    def of_params(params: Any, obj_fn: Any = None) -> Float[Array, ""]:
        # Optax's line searches hand on what else an update is given, and refuse what the function does not take.
        return value(params)

    return of_params


def _to_micro_batches(rows: Array, parts: int) -> Array:
    """[b, …] to [parts, b / parts, …], row r to part r mod parts."""
    return rows.reshape(-1, parts, *rows.shape[1:]).swapaxes(0, 1)


def _from_micro_batches(dealt: Array) -> Array:
    """The inverse of `_to_micro_batches`."""
    return dealt.swapaxes(0, 1).reshape(-1, *dealt.shape[2:])
