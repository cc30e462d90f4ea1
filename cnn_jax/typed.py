"""Values as their type hints hold them."""

import contextlib
import types
from typing import Any, Literal, Union, get_args, get_origin


def typed(value: Any, hint: Any) -> Any:
    """The value as its type hint holds it, every item looked at: lists become tuples, whole numbers floats.

    Raises:
      TypeError: for a value of another type. True and False are no numbers.

    Example:
      >>> typed([1, 2], tuple[float, ...])
      (1.0, 2.0)
    """
    kind, choices = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        for choice in choices:
            with contextlib.suppress(TypeError):
                return typed(value, choice)
    elif kind is Literal:
        if any(type(choice) is type(value) and choice == value for choice in choices):
            return value
    elif kind is tuple:
        if isinstance(value, (list, tuple)):
            return tuple(typed(item, choices[0]) for item in value)
    elif isinstance(value, bool):
        if hint is bool:
            return value
    elif hint in (int, float, str) and isinstance(value, (hint, int) if hint is float else hint):
        return hint(value)  # of a subclass, too: NumPy's numbers become Python's
    elif isinstance(value, hint):
        return value
    raise TypeError(value)
