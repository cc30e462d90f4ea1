"""What follows from a configuration and its data: computed after all overrides, logged and stored beside it."""

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import Any

from cnn_jax.config import Config, ConfigError, flatten
from cnn_jax.config.reference import OPTIMIZERS
from cnn_jax.runs.data_ranges import check_ranges

# Rates are given for this batch, as in Goyal et al. 2017, section 2.1.
REFERENCE_BATCH = 256

# Where neither epochs nor steps are given. Untuned.
EPOCHS = 10.0

# Steps: on small sets an epoch takes less time than an evaluation and a checkpoint.
SHORTEST_INTERVAL = 100

# Steps are counted, and the rows of a batch numbered, in 32 bits.
MOST_STEPS = MOST_ROWS = 2**31 - 1


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


def check(config: Config, num_devices: int) -> None:
    """Refuses a configuration with a value out of range, or with one that could have no effect whatever the data.

    Raises:
      ConfigError: naming the key and the remedy.
    """
    optim, data, values = config.optim, config.data, flatten(config)
    batch, arguments = config.data.batch_size, optim.arguments if optim.name in OPTIMIZERS else {}
    parts = num_devices * max(1, config.parallel.accumulate)
    fitting = max(1, round(batch / parts)) * parts
    # The rows that BatchNorm sees at once; under pmap a device's own.
    rows = batch // (parts if config.parallel.strategy == "pmap" else max(1, config.parallel.accumulate))

    def unset_or_positive(key: str) -> bool:
        return values[key] is None or 0 < values[key] < math.inf

    def used_if(condition: bool, key: str, unset: Any = None) -> bool:
        return condition or values[key] == unset

    rules = [
        *(
            (key, all(math.isfinite(v) for v in (value if isinstance(value, list) else [value])), "it must be finite")
            for key, value in values.items()
            if isinstance(value, float) or (isinstance(value, list) and value and isinstance(value[0], float))
        ),
        (
            "name",
            config.name is None or re.fullmatch(r"[^/\0]+", config.name) is not None,
            "a folder's name begins with it, so it is not empty and has no slash",
        ),
        ("seed", 0 <= config.seed < 2**32, "it must be from 0 to below 2^32"),
        ("data.batch_size", 0 < batch <= MOST_ROWS, "it must be positive, and below 2^31"),
        ("parallel.accumulate", config.parallel.accumulate > 0, "it must be positive; 1 takes the batch at once"),
        ("parallel.accumulate", config.parallel.accumulate <= batch, "a micro-batch holds at least one example"),
        (
            "data.batch_size",
            batch % parts == 0,
            f"it must divide evenly over {num_devices} devices"
            + (f" and {config.parallel.accumulate} micro-batches" if config.parallel.accumulate > 1 else "")
            + f"; the nearest that does is {fitting}",
        ),
        (
            "model.ghost_batch",
            unset_or_positive("model.ghost_batch"),
            "it must be positive, or None for the whole batch",
        ),
        (
            "model.ghost_batch",
            rows % (config.model.ghost_batch or 1) == 0,
            f"it must divide the {rows} rows that are normalised at a time",
        ),
        (
            "model.num_classes",
            config.model.num_classes is None or 0 < config.model.num_classes <= MOST_ROWS,
            "it must be positive and below 2^31, or None for the data set's",
        ),
        (
            "model.weights_sha256",
            used_if(config.model.weights is not None, "model.weights_sha256"),
            "it has no effect without `model.weights`; leave it out",
        ),
        (
            "model.new_head",
            config.model.weights is not None or not config.model.new_head,
            "without `model.weights` the whole network is new; leave it out",
        ),
        (
            "data.folder",
            used_if(data.name == "folder", "data.folder"),
            f"it has no effect with `data.name` {data.name}; set that to folder, or leave this out",
        ),
        ("data.mix", used_if(batch > 1, "data.mix", []), "a batch of one image has nothing to be mixed with"),
        ("train.steps", (config.train.steps or 1) <= MOST_STEPS, "it must be below 2^31"),
        (
            "train.eval_every",
            used_if(data.validation_fraction != 0, "train.eval_every"),
            "it has no effect where `data.validation_fraction` 0 leaves nothing to evaluate on; leave it out",
        ),
        *(
            (key, unset_or_positive(key), "it must be positive, or None for the default")
            for key in ("train.epochs", "train.steps", "train.log_every", "train.eval_every", "train.checkpoint_every")
        ),
        ("train.keep_checkpoints", config.train.keep_checkpoints > 0, "keep at least one"),
        ("optim.learning_rate", optim.learning_rate >= 0, "it must not be negative"),
        ("optim.weight_decay", optim.weight_decay >= 0, "it must not be negative"),
        (
            "optim.decay",
            used_if(optim.weight_decay > 0, "optim.decay", "kernels"),
            "it has no effect where `optim.weight_decay` is 0; leave it out",
        ),
        ("optim.warmup_fraction", 0 <= optim.warmup_fraction < 1, "it is a part of the run, from 0 to below 1"),
        ("optim.label_smoothing", 0 <= optim.label_smoothing < 1, "it must lie from 0 to below 1"),
        ("optim.clip_norm", unset_or_positive("optim.clip_norm"), "it must be positive, or None not to clip"),
        ("optim.ema_decay", 0 < (optim.ema_decay or 0.5) < 1, "it must lie between 0 and 1, or be None"),
        *(
            (
                f"optim.arguments.{k}",
                isinstance(arguments.get(k, 0), (int, float)) and 0 <= arguments.get(k, 0) < 1,
                "it must lie from 0 to below 1",
            )
            for k in ("momentum", "b1", "b2")
        ),
        (
            "optim.arguments.nesterov",
            not (arguments.get("nesterov") and arguments.get("momentum") == 0),
            "it has no effect where `optim.arguments.momentum` is 0; leave it out",
        ),
    ]
    for key, holds, remedy in rules:
        if not holds:
            raise ConfigError(f"`{key}` is {values[key]}: {remedy}.")
    check_ranges(data)
