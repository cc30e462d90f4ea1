"""Values out of a stranger's JSON, each checked for what it has to be."""

from collections.abc import Mapping
from typing import Any

_MOST_PIXELS = 65_536  # along a side
_MOST = 1e300  # JSON's whole numbers have no end, and 1e400 is infinite; a NaN is not below it either

# What reading such values raises where they are something else altogether.
WRONG = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, ZeroDivisionError, RecursionError)


def mapping(value: Any, key: str) -> dict[str, Any]:
    """An object; raises ValueError for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"`{key}` is {value!r} in place of an object")
    return dict(value)


def text(value: Any, key: str) -> str:
    """A text; raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(f"`{key}` is {value!r} in place of a text")
    return value


def texts(value: Any, key: str) -> tuple[str, ...]:
    """A list of texts; raises ValueError for anything else."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"`{key}` is {value!r} in place of a list of texts")
    return tuple(text(each, key) for each in value)


def number(value: Any, key: str) -> float:
    """A finite number; raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_MOST < value < _MOST:
        raise ValueError(f"`{key}` is {value!r} in place of a finite number")
    return float(value)


def pixels(value: Any, key: str) -> int:
    """The length of a side, in pixels; raises ValueError for anything else."""
    if not 1 <= number(value, key) <= _MOST_PIXELS:
        raise ValueError(f"`{key}` is {value!r} in place of 1 to {_MOST_PIXELS:,} pixels")
    return int(value)


def channels(value: Any, key: str, *, positive: bool = False) -> tuple[float, ...]:
    """A number for each channel of gray or RGB; raises ValueError for anything else."""
    if not isinstance(value, list | tuple) or len(value) not in (1, 3):
        raise ValueError(f"`{key}` is {value!r} in place of a list of 1 or 3 numbers")
    numbers = tuple(number(each, key) for each in value)
    if positive and min(numbers) <= 0:
        raise ValueError(f"`{key}` is {value!r}, and each has to be above 0")
    return numbers
