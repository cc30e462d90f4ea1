"""A configuration as dotted keys: its identity, its differences, and the way back with every type checked."""

import dataclasses
import difflib
import hashlib
import json
import typing
from typing import Any

from beartype.door import is_bearable

from cnn_jax.config.errors import ConfigError
from cnn_jax.config.sections import Config


def flatten(config: Any, *, identity_only: bool = False) -> dict[str, Any]:
    """The configuration as dotted keys, e.g. `{"optim.learning_rate": 0.1}`, tuples as lists, as JSON keeps them."""
    flat: dict[str, Any] = {}
    for f in dataclasses.fields(config):
        value = getattr(config, f.name)
        if identity_only and f.metadata.get("identity") is False:
            continue
        if dataclasses.is_dataclass(value):
            flat |= {f"{f.name}.{k}": v for k, v in flatten(value, identity_only=identity_only).items()}
        else:
            flat[f.name] = list(value) if isinstance(value, tuple) else value
    return flat


def identity(config: Config) -> str:
    """Sixteen hexadecimal digits that name the experiment: equal exactly when nothing that changes a result differs."""
    flat = flatten(config, identity_only=True)
    if flat["data.interpolation"] == "bilinear":
        del flat["data.interpolation"]  # runs from before this key keep their identity, and so their folders
    text = json.dumps(flat, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def difference(left: dict[str, Any], right: dict[str, Any]) -> dict[str, list[Any]]:
    """The dotted keys whose values differ, `{key: [left, right]}`; a key that one side lacks is None there."""
    keys = [*left, *(k for k in right if k not in left)]
    return {k: [left.get(k), right.get(k)] for k in keys if left.get(k) != right.get(k)}


def from_flat(flat: dict[str, Any]) -> Config:
    """The configuration that `flatten` wrote.

    Raises:
      ConfigError: on an unknown key (naming the nearest valid one) or a value of the wrong type.
    """
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *parents, leaf = key.split(".")
        place = nested
        for p in parents:
            place = place.setdefault(p, {})
        place[leaf] = value
    return _build(Config, nested, "")


def check_types(config: Config) -> Config:
    """The same configuration with every value checked against its field's type (experiment files are plain Python)."""
    return _build(Config, config, "")


def _build(cls: type, value: Any, path: str) -> Any:
    given = value if isinstance(value, dict) else {f.name: getattr(value, f.name) for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    for key in given:
        if key not in hints:
            raise ConfigError(f"`{path}{key}` is not a configuration key.{nearest(key, list(hints), path)}")
    built = {}
    for key, v in given.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(v, (dict, hint)):  # type: ignore[arg-type]
                raise ConfigError(f"`{path}{key}` must be a {hint.__name__}, got {v!r}.")  # type: ignore[union-attr]
            built[key] = _build(hint, v, f"{path}{key}.")  # type: ignore[arg-type]
            continue
        if isinstance(v, list):
            v = tuple(v)
        if type(v) is int and is_bearable(float(v), hint) and not is_bearable(v, hint):
            v = float(v)
        if not is_bearable(v, hint):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            alone = wanted.startswith("tuple") and not isinstance(v, tuple)
            comma = f" One item is written with a comma: ({v!r},)." if alone else ""
            raise ConfigError(f"`{path}{key}` must be {wanted}, got {v!r}.{comma}")
        built[key] = v
    return cls(**built)


def nearest(name: str, valid: list[str], path: str = "") -> str:
    """A sentence that offers the valid name closest to a mistaken one, or lists them all."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f" Did you mean `{path}{close[0]}`?" if close else f" Valid: {', '.join(path + v for v in valid)}."
