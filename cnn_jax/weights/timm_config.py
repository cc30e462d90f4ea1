"""The `config.json` that timm publishes beside its weights: which network they are of."""

import json
from pathlib import Path
from typing import Any

from cnn_jax.paths import local_path
from cnn_jax.weights import stated
from cnn_jax.weights.description import Description
from cnn_jax.weights.files import WeightsError

# timm's names of our networks, where they are not ours. Its other names for networks of ours are of other weights.
_OUR_NAME = {"resnetv2_50": "resnet50_v2"}
# What may be asked of a network of timm's without changing what it computes before its classifier.
_HARMLESS = frozenset({"num_classes", "drop_rate", "drop_path_rate", "in_chans", "pretrained", "img_size"})


def timm_config_path(path: Path | str) -> Path:
    """Where timm's configuration lies, of a weights file."""
    return local_path(path, "FILE", utf8=False).parent / "config.json"


def read_timm_config(path: Path | str) -> dict[str, Any] | None:
    """The `config.json` beside a weights file; None where there is none, or it is not timm's.

    Raises:
      WeightsError: when it cannot be read.
    """
    beside = timm_config_path(path)
    if not beside.is_file():
        return None
    try:
        config = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"`{beside}` is no configuration of timm's: {error!r}; move it away.") from error
    if not isinstance(config, dict) or not isinstance(config.get("pretrained_cfg"), dict):
        return None
    return config


def timm_description(path: Path | str) -> Description | None:
    """The network that the `config.json` beside a file names, under our name; None where there is none.

    Raises:
      WeightsError: as `read_timm_config`.
    """
    config = read_timm_config(path)
    if config is None or "architecture" not in config:
        return None
    try:
        name = stated.text(config["architecture"], "architecture")
        arguments = stated.mapping(config.get("model_args") or {}, "model_args")
    except ValueError as error:
        raise WeightsError(
            f"`{timm_config_path(path)}` is no configuration of timm's: {error}; mend it there."
        ) from error
    changes = {key: value for key, value in arguments.items() if key not in _HARMLESS}
    if config.get("global_pool", "avg") != "avg":
        changes["global_pool"] = config["global_pool"]
    count = config.get("num_classes")
    return Description(_OUR_NAME.get(name, name), changes, count if isinstance(count, int) else None)
