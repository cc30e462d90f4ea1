"""What follows from a configuration before the first step: data, model, layout; and, once asked for, the steps."""

import dataclasses
import functools
import logging
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from cnn_jax.config import Config
from cnn_jax.data import Dataset, DatasetInfo, blank_batch, preprocess_image, train_batches
from cnn_jax.models import abstract_variables
from cnn_jax.parallel import create_layout, peak_bytes
from cnn_jax.runs.build import Built, step_context
from cnn_jax.runs.calls import columns
from cnn_jax.runs.checks import check, check_ranges
from cnn_jax.runs.derive import Derived, derive
from cnn_jax.runs.fitting import check_fit, check_loss, check_rows
from cnn_jax.runs.machine.settings import precision as precision
from cnn_jax.runs.machine.sharing import find_shared, share
from cnn_jax.runs.parts import network, own_metrics
from cnn_jax.runs.splits import (
    forget_data,
    has_test,
    load_or_describe,
    load_split,
    load_training,
    parse_chains,
    parse_mixes,
    seen_at_evaluation,
    with_convention,
)
from cnn_jax.training.carry import Carry, CarryStep, carrying, many_steps
from cnn_jax.training.metrics import TrainMetrics
from cnn_jax.training.state import TrainState
from cnn_jax.training.step import EvalStep, make_logits, no_train_metrics

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Session(Built):
    """A configuration made ready to run: its data, and its steps compiled for the devices."""

    def dataset(self, split: str) -> Dataset:
        """A split of the run's data set, to evaluate on."""
        return load_split(self.config, split, self.eval_augment)

    def training_data(self) -> Dataset:
        """The training split, to train on."""
        return load_training(self.config, self.augment)

    def training_batches(self, start: int) -> Iterator[dict[str, np.ndarray]]:
        """The training stream from a step on, of this process's rows."""
        size, seeds = self.config.data.batch_size, (self.config.seed_of("order"), self.config.seed_of("augment"))
        rows = self.layout.rows(size)
        return train_batches(self.training_data(), size, seed=seeds[0], augment_seed=seeds[1], start=start, rows=rows)

    def preprocess(self, image: np.ndarray) -> np.ndarray:
        """An image from elsewhere, as a batch of evaluation holds the data set's own: uint8 [H, W, C]."""
        crop, interpolation = self.eval_augment.host, self.config.data.interpolation
        return preprocess_image(image, self.info.image_shape, crop=crop, interpolation=interpolation)

    @functools.cached_property
    def tests(self) -> bool:
        """Whether the run ends with the test split: there is one, and it may be looked at."""
        return self.config.train.test == "end" and has_test(self.config)

    @property
    def has_validation(self) -> bool:
        """Whether any training examples are held out."""
        return self.config.data.validation_fraction != 0

    @property
    def eval_batch_size(self) -> int:
        """The training batch's, or a little more: a run may be evaluated on devices that do not divide that."""
        return -(-self.config.data.batch_size // self.layout.num_devices) * self.layout.num_devices

    @property
    def compiled_eval_step(self) -> EvalStep:
        """The evaluation step, compiled once for all splits and evaluations."""
        rows = self.eval_batch_size // jax.process_count()
        batch = lambda: self.layout.abstract(blank_batch(rows, self.info.image_shape, mask=True))  # noqa: E731
        return self.once("evaluate", lambda: self.layout.compile(self.eval_step, self.abstract_variables(), batch()))

    def abstract_variables(self) -> Any:
        """The shapes, dtypes and shardings of what evaluation uses."""
        variables = {"batch_stats": {}, **abstract_variables(self.model, self.image_shape)}
        return self.layout.placed({name: variables[name] for name in ("params", "batch_stats")})

    def abstract_batch(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes, dtypes and shardings of a training batch."""
        shape = self.augment.batch_shape(self.info.image_shape)
        return self.layout.abstract(blank_batch(self.config.data.batch_size // jax.process_count(), shape))

    def abstract_rows(self) -> dict[str, jax.ShapeDtypeStruct]:
        """The shapes, dtypes and shardings of what many steps are given in place of a batch."""
        shape = self.config.data.batch_size // jax.process_count(), columns(self.config.train)
        return self.layout.abstract({name: np.zeros(shape, np.int32) for name in ("index", "epoch")})

    def compile_train_step(self, step: int = 0, *resident: Array) -> CarryStep:
        """That of the phase that a step is in, compiled: `(carry, batch) -> (carry, steps)`, its carry donated.

        Args:
          resident: all images and labels of the training split, on the devices: the function then makes many steps,
            and takes the rows of `many_steps` in place of a batch.
        """
        seeds = self.layout.put_whole(self._seeds)
        phase = max(i for i, part in enumerate(self.phases) if part.first_step <= step)

        def call(carry: Carry, batch: Any, seeds: Array, *resident: Array) -> tuple[Carry, Array]:
            step = carrying(self._train_step(phase, *seeds))
            return (many_steps(step, *resident) if resident else step)(carry, batch)

        def compile() -> jax.stages.Compiled:
            batch = self.abstract_rows() if resident else self.abstract_batch()
            return self.layout.compile(call, self.abstract_checkpoint(), batch, seeds, *resident, donate=True)

        compiled = self.once(f"train {phase} {len(resident)}", compile)
        logger.debug("%s; memory of a step: %.0f MB on each device", self.derived, peak_bytes(compiled) / 1e6)
        return lambda carry, batch: compiled(carry, batch, seeds, *resident)

    def carry(self, state: TrainState) -> Carry:
        """What the first step after a log line is given; all of it may be donated."""
        return {"state": state, "window": self.once("window", lambda: self.layout.creation(self._make_window))()}

    def _make_window(self) -> TrainMetrics:
        return no_train_metrics(jnp.promote_types(self.config.model.dtype, jnp.float32))

    def drawn_state(self) -> TrainState:
        """The state before the first step, drawn from the seed and placed on the devices."""
        seed = np.uint32(self.config.seed_of("init"))
        return self.once("draw", lambda: self.layout.creation(self.make_state, seed))(seed)

    def abstract_checkpoint(self) -> Any:
        """The shapes, dtypes and shardings of what a checkpoint holds."""
        make = lambda: Carry(state=self.make_state(), window=self._make_window())  # noqa: E731
        return self.once("checkpoint", lambda: self.layout.placed(jax.eval_shape(make)))


def open_session(config: Config, derived: Derived | None = None, info: DatasetInfo | None = None) -> Session:
    """Reads the data set's description and builds what the configuration asks for; no parameter is made yet.

    Args:
      derived: as stored with a run; None works it out from the training split and the devices.
      info: of the data set, as stored with a run, which then needs no data set to predict; None: of the test split.

    Raises:
      ConfigError: on a value out of range or values that contradict each other.
      DataError: when the data set is unknown, or is needed and not prepared.
    """
    forget_data()
    layout = create_layout(config.parallel.strategy, config.model.conv, config.train.deterministic)
    if derived_here := derived is None:
        check(config, layout.num_devices)
    else:
        check_ranges(config.data)
    augment, eval_augment = parse_chains(config, info)
    if derived is None:
        info = load_training(config, eval_augment).info
        sizes = {"num_examples": info.num_examples, "num_classes": info.num_classes}
        derived = derive(config, **sizes, num_devices=layout.num_devices)
    elif info is None:
        info = load_or_describe(config, "test", eval_augment)
    info = with_convention(info, config)
    if shared := find_shared(config, derived, info):
        return dataclasses.replace(shared, config=config)
    mix, (views, image_shape) = parse_mixes(config), seen_at_evaluation(config, eval_augment, info)
    dtype, model = jnp.dtype(config.model.dtype), network(config, derived.num_classes)
    if derived_here or config.optim.freeze is not None:  # before a folder is made
        chains = info, augment, eval_augment, mix
        check_fit(config, model, layout, *chains, derived.num_classes, image_shape, begins=derived_here)
    context = step_context(config.model, batch=None)
    logits = make_logits(model, eval_augment, views, info.mean, info.std, dtype=dtype, context=context)
    session = Session(config, derived, model, layout, info, augment, mix, eval_augment, image_shape, logits)
    if derived_here:
        check_loss(config, session.loss, derived.num_classes)
        check_rows(own_metrics(config, derived.num_classes), "train.metrics", derived.num_classes)
        session.train_step  # noqa: B018, what is wrong with the parts of training is said now
        share(session)
    return session
