"""What a configuration must hold to be run, whatever its network and data: ranges, settings without effect."""

import math
import re
from typing import Any

from cnn_jax.config import Config, ConfigError, DataConfig, flatten
from cnn_jax.config.reference import OPTIMIZERS

# Steps are counted, and the rows of a batch numbered, in 32 bits.
MOST_STEPS = MOST_ROWS = 2**31 - 1

MOST_STEPS_PER_CALL = 1000  # whose indices are made before; the host is then busy once in a thousand steps
_COUNTS = ("epochs", "steps", "log_every", "eval_every", "checkpoint_every", "steps_per_call")


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
        *(
            (key, value is None or 0 <= value < 2**32, "it must be from 0 to below 2^32")
            for key, value in values.items()
            if key == "seed" or key.startswith("seeds.")
        ),
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
            "seeds.init",
            used_if(config.model.weights is None or config.model.new_head, "seeds.init"),
            "it has no effect where `model.weights` gives all parameters; leave it out",
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
            for key in (f"train.{name}" for name in _COUNTS)
        ),
        (
            "train.steps_per_call",
            (config.train.steps_per_call or 1) <= MOST_STEPS_PER_CALL,
            f"it must be at most {MOST_STEPS_PER_CALL}; more gains nothing",
        ),
        ("train.keep_checkpoints", config.train.keep_checkpoints > 0, "keep at least one"),
        ("optim.learning_rate", optim.learning_rate >= 0, "it must not be negative"),
        ("optim.weight_decay", optim.weight_decay >= 0, "it must not be negative"),
        (
            "optim.decay",
            used_if(optim.weight_decay > 0, "optim.decay", "kernels"),
            "it has no effect where `optim.weight_decay` is 0; leave it out",
        ),
        (
            "optim.unfreeze",
            used_if(optim.freeze is not None, "optim.unfreeze", []),
            "it has no effect without `optim.freeze`, which says what is frozen at first; leave it out, or give that",
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


def check_ranges(data: DataConfig) -> None:
    """Refuse values that no data set could have a use for.

    Raises:
      ConfigError: naming the key, the value and what it may be.
    """
    unit = "it is of images in 0..1, not 0..255: divide by 255"
    fraction, each = data.validation_fraction, data.examples_per_class
    rules = {
        "validation_fraction": (fraction is None or 0 <= fraction < 1, "it must lie from 0 to below 1"),
        "examples_per_class": (each is None or each > 0, "it must be positive, or None to take all"),
        "class_fractions": (all(0 <= part <= 1 for part in data.class_fractions), "each must lie from 0 to 1"),
        "label_noise": (0 <= data.label_noise <= 1, "it must lie from 0 to 1"),
        "mean": (all(0 <= value <= 1 for value in data.mean), f"it must lie from 0 to 1; {unit}"),
        "std": (all(0 < value <= 1 for value in data.std), f"it must lie above 0, up to 1; {unit}"),
    }
    for key, (holds, remedy) in rules.items():
        if not holds:
            raise ConfigError(f"`data.{key}` is {getattr(data, key)}: {remedy}.")
