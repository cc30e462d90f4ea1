"""What follows from a configuration and its data: computed after all overrides, logged and stored beside it."""

from dataclasses import dataclass

from cnn_jax.config import Config, ConfigError

# Goyal et al. 2017, section 2.1: rates are given for this batch and scaled linearly with the real one.
REFERENCE_BATCH = 256


@dataclass(frozen=True)
class Derived:
    """Numbers that a run uses and that nobody sets."""

    num_classes: int
    steps: int
    """Of the whole run."""
    steps_per_epoch: float
    """Not rounded: the stream of examples is continuous, and a batch may hold the end of one epoch and the start of the next."""
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
    _check(config, num_devices)
    batch = config.data.batch_size
    steps_per_epoch = num_examples / batch
    steps = config.train.steps or max(1, round(config.train.epochs * steps_per_epoch))
    epoch = max(1, round(steps_per_epoch))
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
        learning_rate=config.optim.learning_rate * batch / REFERENCE_BATCH,
        warmup_steps=round(config.optim.warmup_fraction * steps),
        log_every=config.train.log_every or max(1, steps // 100),
        eval_every=config.train.eval_every or epoch,
        checkpoint_every=config.train.checkpoint_every or epoch,
    )


def _check(config: Config, num_devices: int) -> None:
    optim, train, batch = config.optim, config.train, config.data.batch_size

    def need(holds: bool, key: str, value: object, remedy: str) -> None:
        if not holds:
            raise ConfigError(f"`{key}` is {value}: {remedy}.")

    need(batch > 0, "data.batch_size", batch, "it must be positive")
    need(
        batch % num_devices == 0,
        "data.batch_size",
        batch,
        f"it must divide evenly over {num_devices} devices; the nearest that does is "
        f"{max(1, round(batch / num_devices)) * num_devices}",
    )
    need(config.model.num_classes is None or config.model.num_classes > 0, "model.num_classes", config.model.num_classes,
         "it must be positive, or None to take the data set's")  # fmt: skip
    need(train.epochs > 0, "train.epochs", train.epochs, "it must be positive")
    for key in ("steps", "log_every", "eval_every", "checkpoint_every"):
        value = getattr(train, key)
        need(value is None or value > 0, f"train.{key}", value, "it must be positive, or None for the default")
    need(train.keep_checkpoints > 0, "train.keep_checkpoints", train.keep_checkpoints, "keep at least one")
    need(optim.learning_rate >= 0, "optim.learning_rate", optim.learning_rate, "it must not be negative")
    need(optim.weight_decay >= 0, "optim.weight_decay", optim.weight_decay, "it must not be negative")
    need(
        0 <= optim.warmup_fraction < 1,
        "optim.warmup_fraction",
        optim.warmup_fraction,
        "it is a fraction of the run, from 0 to below 1",
    )
    need(
        0 <= optim.label_smoothing < 1, "optim.label_smoothing", optim.label_smoothing, "it must lie from 0 to below 1"
    )
    need(
        optim.clip_norm is None or optim.clip_norm > 0,
        "optim.clip_norm",
        optim.clip_norm,
        "it must be positive, or None not to clip",
    )
    need(
        optim.ema_decay is None or 0 < optim.ema_decay < 1,
        "optim.ema_decay",
        optim.ema_decay,
        "it must lie between 0 and 1, or be None",
    )
    drops = optim.step_fractions
    need(
        all(0 < f < 1 for f in drops) and list(drops) == sorted(set(drops)),
        "optim.step_fractions",
        drops,
        "they must rise, each between 0 and 1",
    )
    unused = {"sgd": ("beta1", "beta2"), "adamw": ("momentum", "nesterov")}[optim.name]
    for key in unused:
        need(
            getattr(optim, key) is None,
            f"optim.{key}",
            getattr(optim, key),
            f"{optim.name} does not use it; set it to None",
        )
