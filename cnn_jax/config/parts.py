"""The functions that a configuration names, and their arguments."""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

from cnn_jax.config.sections import Config
from cnn_jax.names import canonical, literal, reference, split

PART = str | Callable[..., Any]
"""The type of `sections.Part`, as `typing.get_type_hints` gives it."""


def part_name(part: Any, experiment: str | None) -> tuple[str, dict[str, Any]]:
    """The canonical name of a function, given as text or as itself, and the arguments that stand with it.

    Args:
      experiment: the name of the experiment file.

    Raises:
      TypeError, ValueError: when no name stands for it.
    """
    if not isinstance(part, str) and not callable(part):
        raise TypeError(f"give a name, or a function, got {part!r}.")
    name, arguments = split(part) if isinstance(part, str) else reference(part)
    return canonical(name, experiment), arguments


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


def named_parts(config: Config) -> dict[str, str]:
    """The names of all functions that a configuration names, without their arguments, by key."""
    sections = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "code"}
    return {
        f"{name}.{key}": split(getattr(section, key))[0]
        for name, section in sections.items()
        if dataclasses.is_dataclass(section)
        for key, hint in typing.get_type_hints(type(section)).items()
        if hint == PART
    }
