"""What a configuration describes: model, optimiser, schedule, loss and steps; nothing is compiled here, or read."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax.sharding import NamedSharding
from jaxtyping import UInt32

from cnn_jax import ops
from cnn_jax.config import Config, ModelConfig
from cnn_jax.data import Chain, DatasetInfo, Mix
from cnn_jax.parallel import Layout
from cnn_jax.randomness import Seed
from cnn_jax.runs.derive import Derived
from cnn_jax.runs.machine.sharing import Shared
from cnn_jax.runs.parts import gradient_rule, learning_rate, loss, optimizer, own_metrics
from cnn_jax.runs.phases import by_layers, phases
from cnn_jax.training.freeze import Phase
from cnn_jax.training.gradient import loss_gradient, over_batch
from cnn_jax.training.inputs import make_inputs
from cnn_jax.training.losses import Loss
from cnn_jax.training.schedules import LearningRate
from cnn_jax.training.state import TrainState, create_state
from cnn_jax.training.step import EvalStep, LogitsOf, TrainStep, make_eval_step, make_train_step
from cnn_jax.training.update import make_update


def step_context(model: ModelConfig, batch: NamedSharding | str | None) -> ops.Context:
    """In which the forward and backward pass of a step are computed."""
    return ops.Context(
        model.conv, batch, model.ghost_batch, model.frozen_norm, model.unbiased_variance, precision=model.precision
    )


@dataclasses.dataclass(frozen=True)
class Built(Shared):
    """What a configuration describes; nothing here changes while it runs.

    What only training needs (the optimiser, the schedule, the step) is made when it is asked for.
    """

    config: Config
    derived: Derived
    model: nn.Module
    layout: Layout
    info: DatasetInfo
    augment: Chain
    mix: Mix
    eval_augment: Chain
    image_shape: tuple[int, int, int]
    """(H, W, C) as the network sees them, after augmentation."""
    logits: LogitsOf

    @functools.cached_property
    def rate(self) -> LearningRate:
        """The learning rate of every step."""
        return learning_rate(self.config, self.derived)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformationExtraArgs:
        """With clipping, weight decay and what is frozen."""
        return self._optimizer(0)

    def _optimizer(self, phase: int) -> optax.GradientTransformationExtraArgs:
        return optimizer(self._by_layers, self.rate, self.phases, phase)

    @functools.cached_property
    def _by_layers(self) -> Config:
        return by_layers(self.config, self.model, self.image_shape)

    @functools.cached_property
    def phases(self) -> list[Phase]:
        """The parts of the run, by what stands still in them."""
        return phases(self._by_layers, self.derived.steps)

    @functools.cached_property
    def loss(self) -> Loss:
        """Of each row."""
        return loss(self.config, self.derived.num_classes)

    @functools.cached_property
    def train_step(self) -> TrainStep:
        """With the run's own seeds, as it begins."""
        return self._train_step(0, *self._seeds.tolist())

    def _train_step(self, phase: int, augment_seed: Seed, dropout_seed: Seed) -> TrainStep:
        config, layout, parts = self._by_layers, self.layout, self.config.parallel.accumulate
        inputs = make_inputs(
            self.augment,
            self.mix,
            self.info.mean,
            self.info.std,
            num_classes=self.derived.num_classes,
            dtype=jnp.dtype(config.model.dtype),
            seed=augment_seed,
            layout=layout,
        )
        gradient = loss_gradient(
            self.model,
            self.loss,
            context=step_context(config.model, layout.batch),
            seed=dropout_seed,
            batch_size=config.data.batch_size,
            micro_batches=parts,
            freeze=self.phases[phase].freeze,
        )
        ghosts = config.model.ghost_batch is not None
        gradient_of_batch = over_batch(gradient, layout, micro_batches=parts, average_statistics=ghosts)
        update = make_update(self._optimizer(phase), ema_decay=config.optim.ema_decay)
        return make_train_step(inputs, gradient_of_batch, gradient_rule(config), update, self.rate.at, layout)

    @property
    def _seeds(self) -> UInt32[np.ndarray, "2"]:
        return np.array([self.config.seed_of("augment"), self.config.seed_of("dropout")], np.uint32)

    @functools.cached_property
    def eval_step(self) -> EvalStep:
        """To be compiled by the layout."""
        return make_eval_step(self.logits, self.loss, self.layout, own_metrics(self.config, self.derived.num_classes))

    def make_state(self, seed: Seed | None = None) -> TrainState:
        """The state before the first step, drawn from the run's own seed where none is given; to be jitted."""
        ema, scaled = self.config.optim.ema_decay is not None, self.config.model.dtype == "float16"
        seed = self.config.seed_of("init") if seed is None else seed
        return create_state(self.model, self.optimizer, self.image_shape, seed=seed, ema=ema, loss_scale=scaled)
