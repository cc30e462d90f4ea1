"""A configuration as dotted keys: its differences, and the way back with every type checked."""

import contextlib
import dataclasses
import math
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from cnn_jax.config.parts import PART, check_arguments, operation_name, part_name
from cnn_jax.config.sections import Config
from cnn_jax.names import join, nearest
from cnn_jax.typed import typed


class ConfigError(ValueError):
    """A configuration that cannot be run: the message names the key, its value and the remedy."""


@contextlib.contextmanager
def named(*keys: str) -> Iterator[None]:
    """Says which configuration key, or keys together, a mistake is in."""
    try:
        yield
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"{' with '.join(f'`{key}`' for key in keys)}: {error}") from error


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


def from_flat(flat: dict[str, Any], experiment: str | None = None) -> Config:
    """The configuration that `flatten` wrote.

    Args:
      experiment: the name of the experiment file, where values may be functions of it.

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
    return _build(Config, nested, "", experiment)


def check_types(config: Config, experiment: str | None = None) -> Config:
    """The same configuration with every value checked against its field's type, and functions as their names.

    Args:
      experiment: the name of the experiment file; None takes that of `config.code`.

    Raises:
      ConfigError: on a value of the wrong type, or a function that no name stands for.
    """
    if experiment is None and isinstance(config, Config) and config.code is not None:
        experiment = config.code.path.name
    return _build(Config, config, "", experiment)


def _build(cls: type, value: Any, path: str, experiment: str | None = None) -> Any:
    keys = [f.name for f in _keys(cls)]
    given = value if isinstance(value, dict) else {key: getattr(value, key) for key in keys}
    hints = typing.get_type_hints(cls)
    for key in given:
        if key not in keys:
            raise ConfigError(f"`{path}{key}` is not a configuration key.{nearest(key, keys, path)}")
    built: dict[str, Any] = {"code": value.code} if isinstance(value, Config) else {}
    arguments_of = {f.name: f.metadata["arguments"] for f in _keys(cls) if "arguments" in f.metadata}
    bound: dict[str, dict[str, Any]] = {}
    for key, v in given.items():
        hint = hints[key]
        if dataclasses.is_dataclass(hint):
            if not isinstance(v, (dict, hint)):  # type: ignore[arg-type]
                raise ConfigError(f"`{path}{key}` must be a {hint.__name__}, got {v!r}.")  # type: ignore[union-attr]
            built[key] = _build(hint, v, f"{path}{key}.", experiment)  # type: ignore[arg-type]
            continue
        if hint == PART or typing.get_origin(hint) is Mapping:
            try:
                name, arguments = part_name(v, experiment) if hint == PART else ("", check_arguments(v))
            except (TypeError, ValueError) as error:
                raise ConfigError(f"`{path}{key}`: {error}") from error
            if section := arguments_of.get(key):
                if arguments and isinstance(v, str):
                    raise ConfigError(f"`{path}{key}` is {v!r}: its arguments stand under `{path}{section}`.")
                bound[section], built[key] = arguments, name
            else:
                built[key] = join(name, arguments) if name else arguments
            continue
        if hint == tuple[PART, ...] and isinstance(v, (tuple, list)):
            try:
                built[key] = tuple(operation_name(part, experiment) for part in v)
            except (TypeError, ValueError) as error:
                raise ConfigError(f"`{path}{key}`: {error}") from error
            continue
        try:
            built[key] = typed(v, tuple[str, ...] if hint == tuple[PART, ...] else hint)
        except (TypeError, OverflowError):
            wanted = hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")
            alone = wanted.startswith("tuple") and not isinstance(v, (tuple, list))
            comma = f" One item is written with a comma: ({v!r},)." if alone else ""
            raise ConfigError(f"`{path}{key}` must be {wanted}, got {v!r}.{comma}") from None
        numbers = built[key] if isinstance(built[key], tuple) else (built[key],)
        if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
            raise ConfigError(f"`{path}{key}` is {v!r}: give a finite number.")
    for section, arguments in bound.items():
        for key in arguments.keys() & built.get(section, {}).keys():
            raise ConfigError(f"`{path}{section}.{key}` is given twice: bound by `partial`, too; leave one out.")
        built[section] = arguments | built.get(section, {})
    return cls(**built)
