"""A configuration as dotted keys: its differences, and the way back with every type checked."""

import dataclasses
import difflib
import math
import typing
from collections.abc import Mapping
from typing import Any

from cnn_jax.config.sections import Config
from cnn_jax.typed import typed


class ConfigError(ValueError):
    """A configuration that cannot be run: the message names the key, its value and the remedy."""


def flatten(config: Any, *, identity_only: bool = False) -> dict[str, Any]:
    """The configuration as dotted keys, e.g. `{"optim.learning_rate": 0.1}`, tuples as lists, as JSON keeps them."""
    flat: dict[str, Any] = {}
    for f in _keys(config):
        value = getattr(config, f.name)
        if identity_only and f.metadata.get("identity") is False:
            continue
        if dataclasses.is_dataclass(value):
            flat |= {f"{f.name}.{k}": v for k, v in flatten(value, identity_only=identity_only).items()}
        elif isinstance(value, Mapping):
            flat |= {f"{f.name}.{k}": list(v) if isinstance(v, tuple) else v for k, v in value.items()}
        else:
            flat[f.name] = list(value) if isinstance(value, tuple) else value
    return flat


def _keys(section: Any) -> list[dataclasses.Field[Any]]:
    """The fields that are keys or sections: all but what is known about an experiment file's code."""
    return [f for f in dataclasses.fields(section) if f.name != "code"]


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
    keys = [f.name for f in _keys(cls)]
    given = value if isinstance(value, dict) else {key: getattr(value, key) for key in keys}
    hints = typing.get_type_hints(cls)
    for key in given:
        if key not in keys:
            raise ConfigError(f"`{path}{key}` is not a configuration key.{nearest(key, keys, path)}")
    built: dict[str, Any] = {"code": value.code} if isinstance(value, Config) else {}
    for key, v in given.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(v, (dict, hint)):  # type: ignore[arg-type]
                raise ConfigError(f"`{path}{key}` must be a {hint.__name__}, got {v!r}.")  # type: ignore[union-attr]
            built[key] = _build(hint, v, f"{path}{key}.")  # type: ignore[arg-type]
            continue
        if typing.get_origin(hint) is Mapping:
            built[key] = _literals(v, f"{path}{key}")
            continue
        try:
            built[key] = typed(v, hint)
        except (TypeError, OverflowError):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            alone = wanted.startswith("tuple") and not isinstance(v, (tuple, list))
            comma = f" One item is written with a comma: ({v!r},)." if alone else ""
            raise ConfigError(f"`{path}{key}` must be {wanted}, got {v!r}.{comma}") from None
        _check_finite(built[key], f"{path}{key}")
    return cls(**built)


def _literals(arguments: Any, path: str) -> dict[str, Any]:
    """Arguments by name, whose values are literals."""
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise ConfigError(f'`{path}` must hold arguments by name, as {{"width": 0.5}}, got {arguments!r}.')
    built = {}
    for name, value in arguments.items():
        try:
            built[name] = typed(value, _Literals)
        except TypeError:
            wanted = "a number, a text, True, False or None"
            raise ConfigError(f"`{path}.{name}` must be {wanted}, got {value!r}.") from None
        _check_finite(built[name], f"{path}.{name}")
    return built


_Literal = bool | int | float | str | None
_Literals = _Literal | tuple[_Literal, ...]


def _check_finite(value: Any, key: str) -> None:
    if any(isinstance(v, float) and not math.isfinite(v) for v in (value if isinstance(value, tuple) else (value,))):
        raise ConfigError(f"`{key}` is {value!r}: give a finite number.")


def nearest(name: str, valid: list[str], path: str = "") -> str:
    """A sentence that offers the valid name closest to a mistaken one, or lists them all."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f" Did you mean `{path}{close[0]}`?" if close else f" Valid: {', '.join(path + v for v in valid)}."
