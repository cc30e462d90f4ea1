"""The functions that a configuration names, and their arguments."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.config.sections import Config
from cnn_jax.names import canonical, join, literal, reference, split

PART = str | Callable[..., Any]
"""The type of `sections.Part`, as `typing.get_type_hints` gives it."""


TFDS = "tfds:"
"""What stands before the name of a data set that TFDS prepared: it is no function."""


def part_name(part: Any, experiment: str | None) -> tuple[str, dict[str, Any]]:
    """The canonical name of a function, given as text or as itself, and the arguments that stand with it.

    Args:
      experiment: the name of the experiment file.

    Raises:
      TypeError, ValueError: when no name stands for it.
    """
    if not isinstance(part, str) and not callable(part):
        raise TypeError(f"give a name, or a function, got {part!r}.")
    if isinstance(part, str) and part.startswith(TFDS):
        return part, {}
    name, arguments = split(part) if isinstance(part, str) else reference(part)
    return canonical(name, experiment), arguments


def network_name(config: Config) -> str:
    """What people call the network: of one's own, without the experiment file's name."""
    return named_parts(config)["model.name"].removeprefix(":")


def operation_name(part: Any, experiment: str | None) -> str:
    """The text of one of several operations: ours as it is written, one's own by its canonical name.

    Raises:
      TypeError, ValueError: as `part_name`.
    """
    if isinstance(part, str) and own_name(part) is None:
        return part
    name, arguments = part_name(part, experiment)
    return join(name, arguments) if arguments or ":" in name else f"{name}()"


def own_name(operation: str) -> str | None:
    """The name in the text of an operation that is none of ours, `file.py:invert(probability=0.2)`; else None."""
    name = operation.partition("(")[0].strip()
    return name if ":" in name else None


def check_arguments(arguments: Any) -> dict[str, Any]:
    """The arguments of a function, every one looked at.

    Raises:
      TypeError: naming the argument that no text can hold.
    """
    if not isinstance(arguments, Mapping) or not all(isinstance(name, str) for name in arguments):
        raise TypeError(f"give a mapping of names to values, got {arguments!r}.")
    checked = {}
    for name, value in arguments.items():
        try:
            checked[name] = literal(value)
        except TypeError as error:
            raise TypeError(f"`{name}`: {error}, as finite numbers, texts and tuples of such are.") from error
    return checked


def without_arguments(config: Config, network: Any, optimizer: Any) -> Config:
    """The configuration without the arguments of what another network or optimiser takes the place of.

    Another optimiser begins anew, and a network where one of the two is none of ours. None takes no place.
    """
    model, optim = config.model, config.optim
    if network not in (None, model.name) and (callable(network) or ":" in f"{network}{model.name}"):
        model = dataclasses.replace(model, options={})
    if optimizer not in (None, optim.name):
        optim = dataclasses.replace(optim, arguments={})
    return dataclasses.replace(config, model=model, optim=optim)


def named_parts(config: Config) -> dict[str, str]:
    """The names of all functions that a configuration names, without their arguments, by key.

    Of the operations in a list, those that are none of ours, as `data.augment.0`.
    """
    sections = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "code"}
    found = {}
    for section_name, section in sections.items():
        hints = typing.get_type_hints(type(section)) if dataclasses.is_dataclass(section) else {}
        for key, hint in hints.items():
            if hint == PART and not str(getattr(section, key)).startswith(TFDS):
                found[f"{section_name}.{key}"] = split(getattr(section, key))[0]
            elif hint == tuple[PART, ...]:
                own = map(own_name, getattr(section, key))
                found |= {f"{section_name}.{key}.{i}": name for i, name in enumerate(own) if name is not None}
    return found
