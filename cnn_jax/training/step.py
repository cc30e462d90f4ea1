"""One step of training and one of evaluation, as pure functions."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from cnn_jax import ops
from cnn_jax.config import Config
from cnn_jax.data import Chain, DatasetInfo, Mix, apply_augment, apply_mix, average_views, standardize
from cnn_jax.data.augmentation.views import Views
from cnn_jax.parallel import Layout
from cnn_jax.training.average import average_into
from cnn_jax.training.gradients import make_gradients
from cnn_jax.training.loss_scale import all_finite, keep_unless
from cnn_jax.training.metrics import EvalMetrics, TrainMetrics, in_top_k, losses
from cnn_jax.training.state import TrainState

Batch = Mapping[str, Array]
TrainStep = Callable[[TrainState, Batch], tuple[TrainState, TrainMetrics]]
LogitsOf = Callable[[Mapping[str, Any], Array], Array]
EvalStep = Callable[[Mapping[str, Any], Batch], EvalMetrics]


def make_train_step(
    model: nn.Module,
    optimizer: optax.GradientTransformation,
    schedule: optax.Schedule,
    augment: Chain,
    mix: Mix,
    info: DatasetInfo,
    num_classes: int,
    layout: Layout,
    config: Config,
) -> TrainStep:
    """The function `(state, batch) -> (state, metrics)`, to be compiled by the layout.

    The batch holds `image` (uint8 [b, H, W, C]), `label`, `index` and `epoch` (int32 [b]).  Augmentation is drawn per
    example from (seed, epoch, index), mixing and dropout per step from (seed, step), so the step has no other input.
    """
    gradients_of = make_gradients(model, layout, config)

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, TrainMetrics]:
        images = apply_augment(augment, batch["image"], seed=config.seed, epoch=batch["epoch"], index=batch["index"])
        targets = batch["label"]
        if mix.ops:  # among the rows of all devices, so that the pairs do not depend on how many there are
            every = layout.gather(images), jax.nn.one_hot(layout.gather(targets), num_classes)
            images, targets = map(layout.own, apply_mix(mix, *every, seed=config.seed, step=state.step))
        images = standardize(images, info.mean, info.std, jnp.dtype(config.model.dtype))
        gradients, forward = gradients_of(state, images, targets)
        gradients, batch_stats = layout.mean(gradients), forward.batch_stats
        if config.model.ghost_batch is not None:
            batch_stats = layout.mean(batch_stats)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        new = TrainState(state.step + 1, params, batch_stats, opt_state, ema=None)
        if config.optim.ema_decay is not None:
            new = average_into(new, state, decay=config.optim.ema_decay)
        taken: ArrayLike = True
        if state.loss_scale is not None:
            taken = all_finite(gradients)
            new = keep_unless(taken, new, dataclasses.replace(state, step=new.step, loss_scale=None))
            new = dataclasses.replace(new, loss_scale=state.loss_scale.adjust(taken))
        loss, logits, labels = (layout.gather(rows) for rows in (forward.loss, forward.logits, batch["label"]))
        norm, rate = optax.tree.norm(gradients), schedule(state.step)
        return new, train_metrics(loss, logits, labels, grad_norm=norm, learning_rate=rate, taken=taken)

    return train_step


def train_metrics(
    loss: Float[Array, "b"],
    logits: Float[Array, "b k"],
    labels: Int[Array, "b"],
    *,
    grad_norm: ArrayLike,
    learning_rate: ArrayLike,
    taken: ArrayLike = True,
) -> TrainMetrics:
    """The metrics of one step; `taken` is false for a step that loss scaling skipped."""
    return TrainMetrics.single_from_model_output(
        loss=loss,
        top1=in_top_k(logits, labels, 1),
        top5=in_top_k(logits, labels, 5),
        grad_norm=jnp.asarray(grad_norm, loss.dtype),
        learning_rate=jnp.asarray(learning_rate, loss.dtype),
        taken=taken,
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


def make_logits(model: nn.Module, augment: Chain, views: Views | None, info: DatasetInfo, config: Config) -> LogitsOf:
    """The function `(variables, images uint8 [b, H, W, C]) -> logits [b, k]` of evaluation and prediction."""

    def logits_of(variables: Mapping[str, Any], images: Array) -> Array:
        # Nothing is drawn at evaluation, so the address of the draws does not matter.
        zeros = jnp.zeros(images.shape[0], jnp.int32)
        images = apply_augment(augment, images, seed=0, epoch=zeros, index=zeros)
        images = standardize(images, info.mean, info.std, jnp.dtype(config.model.dtype))

        def predict(batch: Array) -> Array:
            return model.apply(variables, batch, train=False)  # type: ignore[return-value]

        with ops.context(conv=config.model.conv):
            return predict(images) if views is None else average_views(predict, views, images)

    return logits_of


def make_eval_step(logits_of: LogitsOf, layout: Layout, config: Config) -> EvalStep:
    """The function `(variables, batch) -> metrics`, to be compiled by the layout.

    `batch["mask"]` says which rows are real examples.
    """

    def eval_step(variables: Mapping[str, Any], batch: Batch) -> EvalMetrics:
        rows = (logits_of(variables, batch["image"]), batch["label"], batch["mask"])
        logits, labels, mask = (layout.gather(r) for r in rows)
        return EvalMetrics.single_from_model_output(
            loss=losses(logits, labels, config.optim.label_smoothing),
            nll=losses(logits, labels, 0.0),
            top1=in_top_k(logits, labels, 1),
            top5=in_top_k(logits, labels, 5),
            logits=logits,
            label=labels,
            mask=mask,
        )

    return eval_step
