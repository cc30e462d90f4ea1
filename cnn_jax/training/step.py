"""One step of training and one of evaluation, as pure functions."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jaxtyping import Array

from cnn_jax import ops
from cnn_jax.config import Config
from cnn_jax.data import Augment, DatasetInfo, apply_augment, normalize
from cnn_jax.randomness import random_key
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
    augment: Augment,
    info: DatasetInfo,
    config: Config,
) -> TrainStep:
    """The function `(state, batch) -> (state, metrics)`, to be jitted.

    The batch holds `image` (uint8 [b, H, W, C]), `label`, `index` and `epoch` (int32 [b]).  Augmentation is drawn per
    example from (seed, epoch, index) and dropout per step from (seed, step), so the step has no other input.
    """
    aux_weight: dict[str, float] = model.aux_weight

    def train_step(state: TrainState, batch: Batch) -> tuple[TrainState, TrainMetrics]:
        images = apply_augment(augment, batch["image"], seed=config.seed, epoch=batch["epoch"], index=batch["index"])
        images = normalize(images, info.mean, info.std, jnp.dtype(config.model.dtype))
        labels, smoothing = batch["label"], config.optim.label_smoothing

        def loss_of(params: Any) -> tuple[Array, Any]:
            logits, updates = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                images,
                train=True,
                mutable=["batch_stats", "features"],
                rngs={"dropout": random_key(config.seed, "dropout", state.step)},
            )
            loss = losses(logits, labels, smoothing)
            for head, weight in aux_weight.items():
                loss += weight * losses(updates["features"][head], labels, smoothing)
            return loss.mean(), (loss, logits, updates.get("batch_stats", {}))

        with ops.implementation(config.model.conv):
            gradients, (loss, logits, batch_stats) = jax.grad(loss_of, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if config.optim.ema_decay is not None:
            ema = optax.incremental_update(params, ema, 1 - config.optim.ema_decay)
        metrics = TrainMetrics.single_from_model_output(
            loss=loss,
            top1=in_top_k(logits, labels, 1),
            top5=in_top_k(logits, labels, 5),
            grad_norm=optax.tree.norm(gradients),
            learning_rate=schedule(state.step),
        )
        return TrainState(state.step + 1, params, batch_stats, opt_state, ema), metrics

    return train_step


def make_logits(model: nn.Module, augment: Augment, info: DatasetInfo, config: Config) -> LogitsOf:
    """The function `(variables, images uint8 [b, H, W, C]) -> logits [b, k]` of evaluation and prediction."""

    def logits_of(variables: Mapping[str, Any], images: Array) -> Array:
        # Nothing is drawn at evaluation, so the address of the draws does not matter.
        zeros = jnp.zeros(images.shape[0], jnp.int32)
        images = apply_augment(augment, images, seed=0, epoch=zeros, index=zeros)
        images = normalize(images, info.mean, info.std, jnp.dtype(config.model.dtype))
        with ops.implementation(config.model.conv):
            return model.apply(variables, images, train=False)  # type: ignore[return-value]

    return logits_of


def make_eval_step(logits_of: LogitsOf, config: Config) -> EvalStep:
    """The function `(variables, batch) -> metrics`, to be jitted; `batch["mask"]` says which rows are real examples."""

    def eval_step(variables: Mapping[str, Any], batch: Batch) -> EvalMetrics:
        logits, labels = logits_of(variables, batch["image"]), batch["label"]
        return EvalMetrics.single_from_model_output(
            loss=losses(logits, labels, config.optim.label_smoothing),
            nll=losses(logits, labels, 0.0),
            top1=in_top_k(logits, labels, 1),
            top5=in_top_k(logits, labels, 5),
            logits=logits,
            label=labels,
            mask=batch["mask"],
        )

    return eval_step
