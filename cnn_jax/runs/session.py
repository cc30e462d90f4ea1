"""Everything that follows from a configuration before the first step: data, model, optimiser, steps, layout."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jaxtyping import Array

from cnn_jax import ops
from cnn_jax.config import Config, ConfigError
from cnn_jax.data import Chain, Dataset, DatasetInfo, parse_mix, parse_views, preprocess_image
from cnn_jax.data.augmentation.views import Views
from cnn_jax.models import abstract_variables
from cnn_jax.ops import StatisticsError
from cnn_jax.parallel import Layout, create_layout
from cnn_jax.runs.build import step_context, training_step
from cnn_jax.runs.data_ranges import check_ranges
from cnn_jax.runs.derive import Derived, check, derive
from cnn_jax.runs.effects import check_effects
from cnn_jax.runs.naming import named
from cnn_jax.runs.parts import check_loss, check_network, learning_rate, loss, network, operations, optimizer
from cnn_jax.runs.settings import precision as precision
from cnn_jax.runs.splits import load_or_describe, load_split, load_training, parse_chains
from cnn_jax.training.flax_layers import refuse_partial_batches
from cnn_jax.training.freeze import check_freeze, check_pattern, hold_statistics
from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.state import TrainState, create_state
from cnn_jax.training.step import (
    EvalStep,
    LogitsOf,
    TrainStep,
    make_eval_step,
    make_logits,
    no_train_metrics,
)


@dataclasses.dataclass(frozen=True)
class Session:
    """A configuration made ready to run; nothing here changes while it runs."""

    config: Config
    derived: Derived
    model: nn.Module
    optimizer: optax.GradientTransformationExtraArgs
    layout: Layout
    info: DatasetInfo
    augment: Chain
    eval_augment: Chain
    image_shape: tuple[int, int, int]
    """(H, W, C) as the network sees them, after augmentation."""
    train_step: TrainStep
    eval_step: EvalStep
    logits: LogitsOf

    def dataset(self, split: str) -> Dataset:
        """A split of the run's data set, to evaluate on."""
        return load_split(self.config, split, self.eval_augment)

    def training_data(self) -> Dataset:
        """The training split, to train on."""
        return load_training(self.config, self.augment)

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        """An image from elsewhere, as a batch of evaluation holds the data set's own: uint8 [H, W, C]."""
        crop, interpolation = self.eval_augment.host, self.config.data.interpolation
        return preprocess_image(image, self.info.image_shape, crop=crop, interpolation=interpolation)

    @property
    def has_validation(self) -> bool:
        """Whether any training examples are held out."""
        return self.config.data.validation_fraction != 0

    @property
    def eval_batch_size(self) -> int:
        """The training batch's, or a little more: a run may be evaluated on devices that do not divide that."""
        return -(-self.config.data.batch_size // self.layout.num_devices) * self.layout.num_devices

    @functools.cached_property
    def compiled_eval_step(self) -> EvalStep:
        """The evaluation step, compiled once for all splits and evaluations."""
        batch = self._abstract_batch(self.eval_batch_size, self.info.image_shape, mask=np.bool_)
        return self.layout.compile(self.eval_step, self.abstract_checkpoint()["state"].eval_variables, batch)

    def make_state(self) -> TrainState:
        """The state before the first step; to be jitted."""
        config = self.config
        ema, scaled = config.optim.ema_decay is not None, config.model.dtype == "float16"
        return create_state(self.model, self.optimizer, self.image_shape, seed=config.seed, ema=ema, loss_scale=scaled)

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes, dtypes and shardings of a training batch."""
        shape = self.augment.batch_shape(self.info.image_shape)
        return self._abstract_batch(self.config.data.batch_size, shape)

    def _abstract_batch(
        self, size: int, image_shape: tuple[int, int, int], **more: type
    ) -> dict[str, jax.ShapeDtypeStruct]:
        rows = self.layout.rows(size)
        size = rows.stop - rows.start
        batch: dict[str, np.ndarray] = {"image": np.zeros((size, *image_shape), np.uint8)}
        kinds: dict[str, type] = {"label": np.int32, "index": np.int32, "epoch": np.int32, **more}
        batch |= {key: np.zeros(size, kind) for key, kind in kinds.items()}
        return jax.tree.map(lambda a: _place(a, a.sharding), self.layout.put(batch))

    def compile_train_step(self) -> Any:
        """The training step, compiled: `(state, batch) -> (state, metrics)`, its state donated."""
        state = self.abstract_checkpoint()["state"]
        return self.layout.compile(self.train_step, state, self.abstract_batch(), donate=True)

    def empty_window(self) -> TrainMetrics:
        """Training metrics that count nothing yet."""
        return no_train_metrics(jnp.promote_types(self.config.model.dtype, jnp.float32))

    def drawn_state(self) -> TrainState:
        """The state before the first step, drawn from the seed and placed on the devices."""
        state: TrainState = self.layout.create(self.make_state)
        return state

    def abstract_checkpoint(self) -> dict[str, Any]:
        """The shapes, dtypes and shardings of what a checkpoint holds."""
        tree = jax.eval_shape(lambda: {"state": self.make_state(), "window": self.empty_window()})
        return jax.tree.map(_place, tree, self.layout.shardings(tree))


def open_session(config: Config, derived: Derived | None = None) -> Session:
    """Reads the data set's description and builds what the configuration asks for; no parameter is made yet.

    Args:
      derived: as stored with a run; None works it out from the training split and the devices.

    A run whose configuration gives the mean and the deviation can be opened without its data set, to predict.

    Raises:
      ConfigError: on a value out of range or values that contradict each other.
      DataError: when the data set is unknown, or is needed and not prepared.
    """
    layout = create_layout(config.parallel.strategy, config.model.conv)
    if derived_here := derived is None:
        check(config, layout.num_devices)
    else:
        check_ranges(config.data)
    augment, eval_augment = parse_chains(config)
    if derived_here and config.data.on_error == "skip" and eval_augment.host is None:
        raise ConfigError(f"`data.on_error` has no effect on {config.data.name}, which holds no files; leave it out.")
    if derived is None:
        info = load_training(config, eval_augment).info
        sizes = {"num_examples": info.num_examples, "num_classes": info.num_classes}
        derived = derive(config, **sizes, num_devices=layout.num_devices)
    else:
        info = load_or_describe(config, "test", eval_augment)
    info = _with_convention(info, config)
    mixes = operations(config, "data.mix", "key", "images", "targets")
    with named("data.mix"):
        mix = parse_mix(mixes)
    dtype, model = jnp.dtype(config.model.dtype), network(config, derived.num_classes)
    with named("data.eval_views"):
        views = parse_views(config.data.eval_views) if config.data.eval_views else None
    with named("data.eval_augment"):
        eval_shape = eval_augment.output_shape(info.image_shape)
    with named("data.eval_views"):
        image_shape = _network_shape(eval_shape, views)
    if derived_here or config.optim.freeze is not None:
        # A network that does not take these images is refused before a folder is made.
        check_network(config, model, image_shape, derived.num_classes)
        with named("model", "data.eval_augment"):
            seen = abstract_variables(model, image_shape)
        with named("data.augment"):
            shape = augment.output_shape(augment.batch_shape(info.image_shape))
            variables = seen if shape == image_shape else abstract_variables(model, shape)
    if config.optim.freeze is not None:
        with named("optim.freeze"):
            check_freeze(config.optim.freeze, seen["params"])
    if derived_here and config.optim.decay not in ("kernels", "all"):
        with named("optim.decay"):
            check_pattern(config.optim.decay, seen["params"])
    if derived_here:  # the runs that there are may be evaluated whatever they were trained on
        with named("data.mix"):
            mix.check(shape, derived.num_classes)
        _check_statistics(config, model, layout, variables, shape)
        check_effects(config, seen, scales=augment.scales or eval_augment.scales)
    rate = learning_rate(config, peak=derived.learning_rate, steps=derived.steps, warmup_steps=derived.warmup_steps)
    chosen, row_loss = optimizer(config, rate), loss(config, derived.num_classes)
    if derived_here:
        check_loss(config, row_loss, derived.num_classes)
    logits = make_logits(model, eval_augment, views, info.mean, info.std, dtype=dtype, conv=config.model.conv)
    return Session(
        config=config,
        derived=derived,
        model=model,
        optimizer=chosen,
        layout=layout,
        info=info,
        augment=augment,
        eval_augment=eval_augment,
        image_shape=image_shape,
        train_step=training_step(
            config, model, chosen, rate, row_loss, augment, mix, info, derived.num_classes, layout
        ),
        eval_step=make_eval_step(logits, row_loss, layout),
        logits=logits,
    )


def _check_statistics(
    config: Config, model: nn.Module, layout: Layout, variables: Any, shape: tuple[int, int, int]
) -> None:
    """Refuses micro-batches that leave BatchNorm one value a channel, by the shapes of a forward pass of training.

    Raises:
      ConfigError: naming the key that makes them so small, and the shape; or a layer that sees no whole batch.
    """
    parts = config.parallel.accumulate
    images = jax.ShapeDtypeStruct((config.data.batch_size // parts, *shape), jnp.float32)
    key, context = jax.random.key(0), step_context(config.model, batch=None)  # of all rows: no axis is bound here
    with (
        named("model"),
        ops.context(context),
        hold_statistics(config.optim.freeze),
        refuse_partial_batches(layout.batch, parts),
    ):
        try:
            jax.eval_shape(
                lambda variables, images: model.apply(
                    variables, images, train=True, mutable=["batch_stats", "features"], rngs={"dropout": key}
                ),
                variables,
                images,
            )
        except StatisticsError as error:
            many = "parallel.accumulate" if config.parallel.accumulate > 1 else "data.batch_size"
            too_small = many if config.model.ghost_batch is None else "model.ghost_batch"
            raise ConfigError(f"`{too_small}`: {error}") from error


def _place(shape: Array | jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)


def _with_convention(info: DatasetInfo, config: Config) -> DatasetInfo:
    """The data set's description, with the mean and deviation that the configuration gives."""
    for key in ("mean", "std"):
        values = getattr(config.data, key)
        if values and len(values) not in (1, info.image_shape[-1]):
            raise ConfigError(f"`data.{key}` has {len(values)} values for {info.image_shape[-1]} channels.")
    return dataclasses.replace(info, mean=config.data.mean or info.mean, std=config.data.std or info.std)


def _network_shape(image_shape: tuple[int, int, int], views: Views | None) -> tuple[int, int, int]:
    """The shape in which the network sees an image of evaluation."""
    if views is None:
        return image_shape
    _, _, *shape = jax.eval_shape(views, jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)).shape
    return shape[0], shape[1], shape[2]
