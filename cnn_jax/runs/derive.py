"""What follows from a configuration and its data: computed after all overrides, logged and stored beside it."""

import dataclasses
import math
from dataclasses import dataclass

from cnn_jax.config import Config, ConfigError
from cnn_jax.runs.checks import MOST_STEPS, check

# Rates are given for this batch, as in Goyal et al. 2017, section 2.1.
REFERENCE_BATCH = 256

# Where neither epochs nor steps are given. Untuned.
EPOCHS = 10.0

# Steps: on small sets an epoch takes less time than an evaluation and a checkpoint.
SHORTEST_INTERVAL = 100


@dataclass(frozen=True)
class Derived:
    """Numbers that a run uses and that nobody sets."""

    num_classes: int
    steps: int
    """Of the whole run."""
    steps_per_epoch: float
    """Not rounded: a batch may hold the end of one epoch and the start of the next."""
    learning_rate: float
    """The peak rate at the real batch size."""
    warmup_steps: int
    log_every: int
    eval_every: int
    checkpoint_every: int


def derive(config: Config, *, num_examples: int, num_classes: int, num_devices: int) -> Derived:
    """Checks the configuration against the data and the devices, and works out what follows from it.

    Args:
      num_examples: in the training split.
      num_classes: of the data set.
      num_devices: over all processes.

    Raises:
      ConfigError: on a value out of range, or values that contradict each other or the devices.
    """
    check(config, num_devices)
    batch = config.data.batch_size
    steps_per_epoch = num_examples / batch
    epochs = EPOCHS if config.train.epochs is None else config.train.epochs
    steps = config.train.steps or max(1, round(epochs * steps_per_epoch))
    if steps > MOST_STEPS:
        raise ConfigError(f"`train.epochs` is {epochs}, which makes {steps:,} steps; it must make fewer than 2^31.")
    often = max(round(steps_per_epoch), SHORTEST_INTERVAL)
    classes = config.model.num_classes or num_classes
    if classes < num_classes:
        raise ConfigError(
            f"`model.num_classes` is {classes}, but `{config.data.name}` has {num_classes} classes; "
            f"use {num_classes}, or None to take the data set's."
        )
    return Derived(
        num_classes=classes,
        steps=steps,
        steps_per_epoch=steps_per_epoch,
        learning_rate=_scaled(config.optim.learning_rate, batch, config.optim.lr_scaling),
        warmup_steps=round(config.optim.warmup_fraction * steps),
        log_every=config.train.log_every or max(1, steps // 100),
        eval_every=config.train.eval_every or often,
        checkpoint_every=config.train.checkpoint_every or often,
    )


def _scaled(rate: float, batch: int, how: str) -> float:
    match how:
        case "linear":
            return rate * batch / REFERENCE_BATCH
        case "sqrt":
            return rate * math.sqrt(batch / REFERENCE_BATCH)
    return rate


def resolve_batch_norm(config: Config, *, num_devices: int) -> Config:
    """The configuration with `parallel.batch_norm` per_device written as the ghost batch that it means here.

    So the identity of a run holds the rows that were normalised together, and not the devices that they lay on.

    Raises:
      ConfigError: when a ghost batch is given as well.
    """
    if config.parallel.batch_norm == "global":
        return config
    if config.model.ghost_batch is not None:
        raise ConfigError("`parallel.batch_norm` is per_device, and `model.ghost_batch` is set; give one.")
    rows = max(1, config.data.batch_size // (num_devices * max(1, config.parallel.accumulate)))
    return dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, ghost_batch=rows),
        parallel=dataclasses.replace(config.parallel, batch_norm="global"),
    )


def resolve_classes(config: Config, num_classes: int) -> Config:
    """The configuration with `model.num_classes` None where it is the data set's number: that is one experiment."""
    if config.model.num_classes != num_classes:
        return config
    return dataclasses.replace(config, model=dataclasses.replace(config.model, num_classes=None))
