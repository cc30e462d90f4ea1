"""The step that speed is measured on: without data, augmentation or metrics, so that other code can be timed alike."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array, Float, Int

from cnn_jax.training.losses import softmax_cross_entropy

BareState = tuple[Any, Any, Any]
"""Parameters, running statistics, optimiser state."""
BareStep = Callable[[BareState, Float[Array, "b h w c"], Int[Array, "b"]], tuple[BareState, Float[Array, ""]]]


def bare_step(model: nn.Module, optimizer: optax.GradientTransformation) -> BareStep:
    """The function `(state, images, labels) -> (state, loss)`: forward, backward, update, statistics and dropout."""

    def step(state: BareState, images: Array, labels: Array) -> tuple[BareState, Array]:
        parameters, batch_stats, moments = state

        def loss_of(parameters: Any) -> tuple[Array, Any]:
            logits, updates = model.apply(
                {"params": parameters, "batch_stats": batch_stats},
                images,
                train=True,
                mutable=["batch_stats"],
                rngs={"dropout": jax.random.key(1)},
            )
            return softmax_cross_entropy(logits, labels).mean(), updates.get("batch_stats", {})

        (loss, new_stats), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters)
        updates, moments = optimizer.update(gradients, moments, parameters)
        return (optax.apply_updates(parameters, updates), new_stats, moments), loss

    return step


def bare_steps(step: BareStep) -> Callable[[BareState, Array, Array, Int[Array, ""]], tuple[BareState, Array]]:
    """The function `(state, images, labels, count) -> (state, loss)`: so many steps in one call, and the last loss.

    The count is an argument, so calls of any length run one program, and its one loop body.
    """

    def steps(state: BareState, images: Array, labels: Array, count: Array) -> tuple[BareState, Array]:
        def body(_: Array, carried: tuple[BareState, Array]) -> tuple[BareState, Array]:
            return step(carried[0], images, labels)

        loss = jax.eval_shape(step, state, images, labels)[1]
        return jax.lax.fori_loop(0, count, body, (state, jnp.zeros(loss.shape, loss.dtype)))

    return steps
