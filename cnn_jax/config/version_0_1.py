"""Run folders of version 0.1: their identity, so that they are found and checked."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cnn_jax.config.reference import PARTS, STORED
from cnn_jax.names import split

# Every key that counted, whether it differed from its default or not.
_MODEL = "name num_classes dtype conv weights_sha256 new_head"
_OPTIONS = (
    "activation norm init zero_init_scale stem width dropout drop_path shortcut pool five_by_five connections variant "
    "aux remat axis_name ghost_batch frozen_norm"
)
_DATA = (
    "name batch_size folder on_error validation_fraction examples_per_class class_fractions label_noise augment mix "
    "eval_augment interpolation mean std eval_views"
)
_OPTIM = (
    "name learning_rate weight_decay momentum nesterov beta1 beta2 schedule warmup_fraction step_fractions step_factor "
    "clip_norm label_smoothing ema_decay freeze"
)
_SECTIONS = {
    "model": _MODEL,
    "model.options": _OPTIONS,
    "data": _DATA,
    "optim": _OPTIM,
    "train": "epochs steps",
    "parallel": "accumulate",
}
_KEYS = {"seed", *(f"{section}.{key}" for section, keys in _SECTIONS.items() for key in keys.split())}


def identity_0_1(flat: Mapping[str, Any]) -> str:
    """The identity that version 0.1 gave to a configuration.

    Args:
      flat: dotted keys, as `flatten` makes them or as `config.json` stores them.
    """
    if "model.frozen_norm" in flat:
        flat = _in_its_keys(flat)
    kept = {key: value for key, value in flat.items() if key in _KEYS}
    if kept.get("train.epochs", 0) is None:
        kept["train.epochs"] = 10.0
    if kept.get("data.interpolation") == "bilinear":
        del kept["data.interpolation"]
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def _in_its_keys(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Today's keys as version 0.1 had them."""
    schedule, arguments = split(flat["optim.schedule"])
    drops = {f"optim.step_{k}": arguments.get(k, v) for k, v in PARTS["optim.schedule"]["step"].items()}
    moved = {before: today for before, today in STORED.items() if today is not None and before.startswith("optim.")}
    optim = {before: flat.get(today) for before, today in moved.items()}
    return (
        {f"model.options.{name}": None for name in _OPTIONS.split()}
        | {
            "model.options.ghost_batch": flat["model.ghost_batch"],
            "model.options.frozen_norm": flat["model.frozen_norm"] or None,
            "model.options.init": flat.get("model.options.kernel_init"),
        }
        | dict(flat)
        | optim
        | {key: list(value) if isinstance(value, tuple) else value for key, value in drops.items()}
        | {"optim.schedule": schedule}
    )
