"""What functions are called with: the user's arguments, and what their signatures ask for by name.

`cnn_jax.names` lists what is offered to each kind of part.
"""

import contextlib
import functools
import inspect
from collections.abc import Callable, Mapping, Set
from typing import Any

from cnn_jax.names import literal, nearest


def parameters(part: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Of a part, those that can be given by name."""
    return {
        name: p
        for name, p in inspect.signature(part).parameters.items()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    }


def own_arguments(part: Callable[..., Any], offered: Set[str]) -> dict[str, Any]:
    """What a part takes beside what it is offered, by name, with the literal values that it has by default."""
    found = {}
    for name, parameter in parameters(part).items():
        with contextlib.suppress(TypeError):  # what is no literal can be no argument
            if name not in offered and parameter.default is not parameter.empty:
                found[name] = literal(parameter.default)
    return found


def bind(
    part: Callable[..., Any], arguments: Mapping[str, Any], what: str, /, *leading: str, **offered: Any
) -> Callable[..., Any]:
    """A part with its arguments, and with what its signature asks for by name of what is offered.

    Args:
      arguments: the user's.
      what: its name, for the messages.
      leading: what its first parameters are for, which are given at the call.

    Raises:
      ValueError: for an argument that it does not take, or that is offered, and for one that it needs.
    """
    takes = dict([*parameters(part).items()][len(leading) :])
    several = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(part).parameters.values())
    free = [name for name in takes if name not in offered]
    for key in arguments:
        if key in offered and key in takes:
            raise ValueError(f"{what} is given its `{key}` by the trainer, so it cannot be an argument; leave it out.")
        if key not in takes and not several:
            takes_none = f" It takes no arguments{' of yours' if takes else ''}."
            raise ValueError(f"{what} takes no `{key}`.{nearest(key, free) if free else takes_none}")
        if key in takes and not _is_alike(arguments[key], takes[key].default):
            raise ValueError(f"`{key}` of {what} is {arguments[key]!r}: give a value as its {takes[key].default!r} is.")
    given = {name: value for name, value in offered.items() if name in takes} | dict(arguments)
    missing = [name for name, p in takes.items() if p.default is p.empty and name not in given]
    if missing:
        raise ValueError(
            f"{what} needs `{missing[0]}`: give it as an argument, or, if it is no literal, write a function at the "
            "top of the experiment file that gives it, and name that."
        )
    return functools.partial(part, **given)


def call(part: Callable[..., Any], arguments: Mapping[str, Any], what: str, /, **offered: Any) -> Any:
    """What a part returns, called so.

    Raises:
      ValueError: as `bind`, and when the part refuses its arguments.
    """
    bound = bind(part, arguments, what, **offered)
    try:
        return bound()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{what}: {error}") from error


def _is_alike(value: Any, default: Any) -> bool:
    """Whether a value is of the default's kind: a truth value, or a number, for which there may be none."""
    if isinstance(default, bool):
        return isinstance(value, bool)
    if isinstance(default, (int, float)):
        return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
    return True
