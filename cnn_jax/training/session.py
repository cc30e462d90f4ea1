"""Everything that follows from a configuration before the first step: data, model, optimiser, steps, layout."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array

from cnn_jax.config import Config, ConfigError
from cnn_jax.data import (
    ChoiceError,
    Dataset,
    DatasetInfo,
    UnpreparedError,
    describe_dataset,
    load_dataset,
    parse_augment,
    parse_mix,
    parse_views,
    take_subset,
)
from cnn_jax.data.augmentation.views import Views
from cnn_jax.models import ModelOptions, Network, abstract_variables, architecture, create_model
from cnn_jax.ops import StatisticsError
from cnn_jax.parallel import Layout, create_layout
from cnn_jax.training.data_ranges import check_ranges
from cnn_jax.training.derived import Derived, check, derive
from cnn_jax.training.effects import check_effects
from cnn_jax.training.freeze import check_freeze, hold_statistics
from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.optimizer import make_optimizer, make_schedule
from cnn_jax.training.settings import precision as precision
from cnn_jax.training.state import TrainState, create_state
from cnn_jax.training.step import (
    EvalStep,
    LogitsOf,
    TrainStep,
    make_eval_step,
    make_logits,
    make_train_step,
    no_train_metrics,
)


@dataclasses.dataclass(frozen=True)
class Session:
    """A configuration made ready to run; nothing here changes while it runs."""

    config: Config
    derived: Derived
    model: Network
    optimizer: optax.GradientTransformation
    layout: Layout
    info: DatasetInfo
    image_shape: tuple[int, int, int]
    """(H, W, C) as the network sees them, after augmentation."""
    train_shape: tuple[int, int, int]
    """(H, W, C) as a training batch holds the images."""
    fit: Callable[[np.ndarray], np.ndarray]
    """Brings an image from elsewhere to the size and channels of an evaluation batch."""
    train_step: TrainStep
    eval_step: EvalStep
    logits: LogitsOf

    def dataset(self, split: str) -> Dataset:
        """A split of the run's data set, to evaluate on."""
        return _load(self.config, split)

    def training_data(self) -> Dataset:
        """The training split, to train on."""
        return _load_training(self.config)

    @property
    def has_validation(self) -> bool:
        """Whether any training examples are held out."""
        return self.config.data.validation_fraction != 0

    @functools.cached_property
    def compiled_eval_step(self) -> EvalStep:
        """The evaluation step, compiled once for all splits and evaluations."""
        return self.layout.compile_eval(self.eval_step)

    def make_state(self) -> TrainState:
        """The state before the first step; to be jitted."""
        config = self.config
        ema, scaled = config.optim.ema_decay is not None, config.model.dtype == "float16"
        return create_state(self.model, self.optimizer, self.image_shape, seed=config.seed, ema=ema, loss_scale=scaled)

    def batch_like(self) -> dict[str, Array]:
        """A training batch of zeros, placed as real ones are."""
        rows = self.layout.rows(self.config.data.batch_size)
        size = rows.stop - rows.start
        batch = {"image": np.zeros((size, *self.train_shape), np.uint8)}
        return self.layout.put(batch | {k: np.zeros(size, np.int32) for k in ("label", "index", "epoch")})

    def compile_train_step(self) -> Any:
        """The training step, compiled: `(state, batch) -> (state, metrics)`, its state donated."""
        return self.layout.compile_train(self.train_step, self.checkpoint_target()["state"], self.batch_like())

    def empty_window(self) -> TrainMetrics:
        """Training metrics that count nothing yet."""
        return no_train_metrics(jnp.promote_types(self.config.model.dtype, jnp.float32))

    def fresh_tree(self) -> dict[str, Any]:
        """What a checkpoint would hold before the first step."""
        return {"state": self.layout.create(self.make_state), "window": self.empty_window()}

    def checkpoint_target(self) -> dict[str, Any]:
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
    layout = create_layout(config.parallel.strategy, stock=config.model.conv == "xla")
    if derived_here := derived is None:
        check(config, layout.num_devices)
    else:
        check_ranges(config.data)
    split = _load_training(config) if derived is None else load_or_describe(config, "test")
    split = split.with_augment(config.data.eval_augment)
    if derived_here and config.data.on_error == "skip" and not split.num_host_specs:
        raise ConfigError(f"`data.on_error` has no effect on {config.data.name}, which holds no files; leave it out.")
    info = _with_convention(split.info, config)
    if derived is None:
        sizes = {"num_examples": len(split), "num_classes": info.num_classes}
        derived = derive(config, **sizes, num_devices=layout.num_devices)
    interpolation = config.data.interpolation
    with named("data.eval_augment"):
        rest = config.data.eval_augment[split.num_host_specs :]
        eval_augment = parse_augment(rest, allow_random=False, interpolation=interpolation)
    with named("data.augment"):
        training = split.with_augment(config.data.augment)
        augment = parse_augment(config.data.augment[training.num_host_specs :], interpolation=interpolation)
    with named("data.mix"):
        mix = parse_mix(config.data.mix)
    dtype = jnp.dtype(config.model.dtype)
    with named("model.name"):
        architecture(config.model.name)
    with named("model"):
        model = create_model(config.model.name, derived.num_classes, dtype, _options(config, layout))
    with named("data.eval_views"):
        views = parse_views(config.data.eval_views) if config.data.eval_views else None
    image_shape = _network_shape(eval_augment.output_shape(info.image_shape), views)
    if derived_here or config.optim.freeze is not None:
        # A network that does not take these images is refused before a folder is made.
        with named("model", "data.eval_augment"):
            seen = abstract_variables(model, image_shape)
        shape = augment.output_shape(training.info.image_shape)
        with named("data.augment"):
            variables = seen if shape == image_shape else abstract_variables(model, shape)
    if config.optim.freeze is not None:
        with named("optim.freeze"):
            check_freeze(config.optim.freeze, seen["params"])
    if derived_here:  # the runs that there are may be evaluated whatever they were trained on
        _check_statistics(config, derived, variables, shape)
        check_effects(config, seen)
    optimizer, schedule = make_optimizer(config, derived), make_schedule(config.optim, derived)
    logits = make_logits(model, eval_augment, views, info, config)
    return Session(
        config=config,
        derived=derived,
        model=model,
        optimizer=optimizer,
        layout=layout,
        info=info,
        image_shape=image_shape,
        train_shape=training.info.image_shape,
        fit=split.fit,
        train_step=make_train_step(model, optimizer, schedule, augment, mix, info, derived.num_classes, layout, config),
        eval_step=make_eval_step(logits, layout, config),
        logits=logits,
    )


def _check_statistics(config: Config, derived: Derived, variables: Any, shape: tuple[int, int, int]) -> None:
    """Refuses micro-batches that leave BatchNorm one value a channel, by the shapes of a forward pass of training.

    Raises:
      ConfigError: naming the key that makes them so small, and the shape.
    """
    # Without the devices' axis, over which BatchNorm's values are those of all rows anyway.
    options = config.model.options
    model = create_model(config.model.name, derived.num_classes, jnp.dtype(config.model.dtype), options)
    rows = config.data.batch_size // config.parallel.accumulate
    images, key = jax.ShapeDtypeStruct((rows, *shape), jnp.float32), jax.random.key(0)
    with named("model"), hold_statistics(config.optim.freeze):
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
            too_small = many if options.ghost_batch is None else "model.options.ghost_batch"
            raise ConfigError(f"`{too_small}`: {error}") from error


def _place(shape: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)


def _load(config: Config, split: str) -> Dataset:
    data = config.data
    try:
        return load_dataset(
            data.name,
            split,
            root=data.root,
            validation_fraction=data.validation_fraction,
            folder=data.folder,
            augment=data.eval_augment,
            interpolation=data.interpolation,
            on_error=data.on_error,
        )
    except ChoiceError as error:
        raise ConfigError(f"`data.name` {data.name}: {error}") from error


def load_or_describe(config: Config, split: str) -> Dataset:
    """A split; where its set is not prepared, what is known about it, if the configuration says the rest."""
    data = config.data
    try:
        return _load(config, split)
    except UnpreparedError:
        if not (data.mean and data.std):
            raise
    return describe_dataset(
        data.name, split, root=data.root, augment=data.eval_augment, interpolation=data.interpolation
    )


def _load_training(config: Config) -> Dataset:
    data = config.data
    whole = _load(config, "train").with_augment(data.augment)
    return take_subset(
        whole,
        seed=config.seed,
        examples_per_class=data.examples_per_class,
        class_fractions=data.class_fractions,
        label_noise=data.label_noise,
    )


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


def _options(config: Config, layout: Layout) -> ModelOptions:
    """The model's options, and what the devices add to them."""
    options = config.model.options
    # Ghost batches lie within a device's rows, so nothing is averaged over the axis.
    axis_name = layout.axis_name if options.ghost_batch is None else None
    return dataclasses.replace(options, axis_name=axis_name, remat=config.model.remat or options.remat)


@contextlib.contextmanager
def named(*keys: str) -> Iterator[None]:
    """Says which configuration key, or keys together, a mistake is in."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{' with '.join(f'`{key}`' for key in keys)}: {error}") from error
