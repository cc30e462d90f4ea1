"""One step of training and one of evaluation, as pure functions."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int, UInt8

from cnn_jax import ops
from cnn_jax.data import Chain, apply_augment, average_views, standardize
from cnn_jax.data.augmentation.views import Views
from cnn_jax.parallel import Layout
from cnn_jax.training.gradient import Gradient, objective
from cnn_jax.training.inputs import Batch, Inputs
from cnn_jax.training.losses import Loss, softmax_cross_entropy
from cnn_jax.training.metrics import EvalMetrics, MoreEvalMetrics, TrainMetrics, brier_score, in_top_k
from cnn_jax.training.rules import Rule
from cnn_jax.training.state import TrainState
from cnn_jax.training.update import Update

TrainStep = Callable[[TrainState, Batch], tuple[TrainState, TrainMetrics]]

LogitsOf = Callable[[Mapping[str, Any], Array], Array]
Predicted = dict[str, Array]
EvalStep = Callable[[Mapping[str, Any], Batch], tuple[EvalMetrics, Predicted]]


def make_train_step(
    inputs: Inputs, gradient: Gradient, rule: Rule, update: Update, schedule: optax.Schedule, layout: Layout
) -> TrainStep:
    """The function `(state, batch) -> (state, metrics)`, to be compiled by the layout.

    Everything drawn is drawn from the state's step and the batch's epochs and indices, so it has no other input.
    """

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, TrainMetrics]:
        images, targets = inputs(batch, state.step)

        def at(params: Any) -> tuple[Any, Any]:
            return gradient(state, params, images, targets)

        gradients, forward = rule(at, state, batch)
        mean_loss = layout.mean(forward.loss.mean())
        new, finite = update(state, gradients, forward.batch_stats, mean_loss, objective(at, layout))
        loss, logits, labels = (layout.gather(rows) for rows in (forward.loss, forward.logits, batch["label"]))
        norm, rate = optax.tree.norm(gradients), schedule(state.step)
        return new, train_metrics(loss, logits, labels, grad_norm=norm, learning_rate=rate, finite=finite)

    return train_step


def train_metrics(
    loss: Float[Array, "b"],
    logits: Float[Array, "b k"],
    labels: Int[Array, "b"],
    *,
    grad_norm: ArrayLike,
    learning_rate: ArrayLike,
    finite: ArrayLike = True,
) -> TrainMetrics:
    """The metrics of one step; `finite` is false for a step that loss scaling skipped."""
    return TrainMetrics.single_from_model_output(
        loss=loss,
        top1=in_top_k(logits, labels, 1),
        top5=in_top_k(logits, labels, 5),
        grad_norm=jnp.asarray(grad_norm, loss.dtype),
        learning_rate=jnp.asarray(learning_rate, loss.dtype),
        finite=finite,
    )


def no_train_metrics(dtype: DTypeLike) -> TrainMetrics:
    """Metrics as of a step whose logits have this dtype, that count nothing."""
    one = train_metrics(
        jnp.zeros(1, dtype),
        jnp.zeros((1, 1), dtype),
        jnp.zeros(1, jnp.int32),
        grad_norm=0.0,
        learning_rate=0.0,
    )
    return jax.tree.map(jnp.zeros_like, one)


def make_logits(
    model: nn.Module,
    augment: Chain,
    views: Views | None,
    mean: Sequence[float],
    std: Sequence[float],
    *,
    dtype: DTypeLike,
    context: ops.Context,
) -> LogitsOf:
    """The function `(variables, images uint8 [b, H, W, C]) -> logits [b, k]` of evaluation and prediction."""

    def logits_of(variables: Mapping[str, Any], images: Array) -> Array:
        images = evaluation_inputs(images, augment, mean, std, dtype=dtype)

        def predict(batch: Array) -> Array:
            return model.apply(variables, batch, train=False)  # type: ignore[return-value]

        with ops.context(context):
            return predict(images) if views is None else average_views(predict, views, images)

    return logits_of


def evaluation_inputs(
    images: UInt8[Array, "b h w c"], augment: Chain, mean: Sequence[float], std: Sequence[float], *, dtype: DTypeLike
) -> Float[Array, "b h2 w2 c2"]:
    """What the network is given of images at evaluation, before they are taken apart into views."""
    # Nothing is drawn at evaluation, so the address of the draws does not matter.
    zeros = jnp.zeros(images.shape[0], jnp.int32)
    return standardize(apply_augment(augment, images, seed=0, epoch=zeros, index=zeros), mean, std, dtype)


def make_eval_step(logits_of: LogitsOf, loss: Loss, layout: Layout, own: Mapping[str, Loss] = {}) -> EvalStep:
    """The function `(variables, batch) -> (metrics, predicted)`, to be compiled by the layout.

    `batch["mask"]` says which rows are real examples. Of each row, `predicted` holds the `logits` float32 [b, k]; the
    five most probable classes, most probable first, `classes` int32 [b, 5] and `probabilities` float32 [b, 5], or as
    many as there are; and the row's own `index`, `label` and `mask`.

    Args:
      own: further metrics by name, functions as a loss is.
    """

    def eval_step(variables: Mapping[str, Any], batch: Batch) -> tuple[EvalMetrics, Predicted]:
        found = (logits_of(variables, batch["image"]), batch["label"], batch["mask"], batch["index"])
        logits, labels, mask, index = (layout.gather(rows) for rows in found)
        kind = MoreEvalMetrics if own else EvalMetrics
        metrics = kind.single_from_model_output(
            loss=loss(logits, labels),
            nll=softmax_cross_entropy(logits, labels),
            brier=brier_score(logits, labels),
            top1=in_top_k(logits, labels, 1),
            top5=in_top_k(logits, labels, 5),
            logits=logits,
            label=labels,
            own={name: metric(logits, labels) for name, metric in own.items()},
            mask=mask,
        )
        logits = logits.astype(jnp.float32)
        best, classes = jax.lax.top_k(jax.nn.softmax(logits), min(5, logits.shape[1]))
        rows = {"index": index, "label": labels, "mask": mask}
        return metrics, {**rows, "logits": logits, "classes": classes, "probabilities": best}

    return eval_step
