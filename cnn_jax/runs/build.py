"""The training step that a configuration describes, from the functions of `training`."""

import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.sharding import NamedSharding

from cnn_jax import ops
from cnn_jax.config import Config, ModelConfig
from cnn_jax.data import Chain, DatasetInfo, Mix
from cnn_jax.parallel import Layout
from cnn_jax.randomness import Seed
from cnn_jax.runs.parts import gradient_rule
from cnn_jax.training.gradient import loss_gradient, over_batch
from cnn_jax.training.inputs import make_inputs
from cnn_jax.training.losses import Loss
from cnn_jax.training.schedules import LearningRate
from cnn_jax.training.step import TrainStep, make_train_step
from cnn_jax.training.update import make_update


def step_context(model: ModelConfig, batch: NamedSharding | str | None) -> ops.Context:
    """In which the forward and backward pass of a step are computed."""
    return ops.Context(
        model.conv, batch, model.ghost_batch, model.frozen_norm, model.unbiased_variance, precision=model.precision
    )


def training_step(
    config: Config,
    model: nn.Module,
    optimizer: optax.GradientTransformationExtraArgs,
    rate: LearningRate,
    loss: Loss,
    augment: Chain,
    mix: Mix,
    info: DatasetInfo,
    num_classes: int,
    layout: Layout,
    augment_seed: Seed,
    dropout_seed: Seed,
    *,
    freeze: str | None,
) -> TrainStep:
    """The function `(state, batch) -> (state, metrics)`, to be compiled by the layout."""
    optim = config.optim
    dtype = jnp.dtype(config.model.dtype)
    inputs = make_inputs(
        augment,
        mix,
        info.mean,
        info.std,
        num_classes=num_classes,
        dtype=dtype,
        seed=augment_seed,
        layout=layout,
    )
    gradient = loss_gradient(
        model,
        loss,
        context=step_context(config.model, layout.batch),
        seed=dropout_seed,
        batch_size=config.data.batch_size,
        micro_batches=config.parallel.accumulate,
        freeze=freeze,
    )
    gradient_of_batch = over_batch(
        gradient,
        layout,
        micro_batches=config.parallel.accumulate,
        average_statistics=config.model.ghost_batch is not None,
    )
    update = make_update(optimizer, ema_decay=optim.ema_decay)
    return make_train_step(inputs, gradient_of_batch, gradient_rule(config), update, rate.at, layout)
