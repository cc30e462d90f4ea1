"""Calls written as text, "pad_crop(4)": a function of a table with literal arguments; and checks of such arguments."""

import ast
import inspect
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cnn_jax.nearest import nearest_names


@dataclass(frozen=True)
class Call:
    """A function and the arguments that were written for it; equal and hashable by both.

    To be called with what it works on, by position, and with what its signature asks for beside, by name.
    """

    name: str
    function: Callable[..., Any]
    arguments: tuple[tuple[str, Any], ...] = ()

    def takes(self, parameter: str) -> bool:
        """Whether the function's signature asks for it."""
        return parameter in inspect.signature(self.function).parameters

    def __call__(self, *given: Any, **offered: Any) -> Any:
        """Raises ValueError for arguments that are wrong, or of a wrong type."""
        try:
            return self.function(*given, **offered, **dict(self.arguments))
        except (TypeError, OverflowError) as error:
            raise ValueError(f"{self} cannot be done: {error}") from error

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value!r}' for name, value in self.arguments)})"


def parse_call(
    spec: str, table: Mapping[str, Callable[..., Any]], what: str, *, given: int = 0, offered: Collection[str] = ()
) -> Call:
    """The function that `spec` names, with the arguments that stand there; it is not called yet.

    Args:
      table: the functions that may be named.
      what: the kind of operation, for the messages.
      given: how many parameters, from the first, the caller fills by position.
      offered: the parameters that the caller fills by name.

    Raises:
      ValueError: for what is not a call with literal arguments, an unknown name (close matches are named), or
        arguments that the function does not take.
    """
    try:
        call = ast.parse(spec.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not a call")
        name = call.func.id
        positional = [ast.literal_eval(argument) for argument in call.args]
        named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as error:
        raise ValueError(f'{spec!r} is no {what} operation; write a call such as "{next(iter(table))}(4)".') from error
    if name not in table:
        close = nearest_names(name, table)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(table)}."
        raise ValueError(f"unknown {what} operation {name!r} in {spec!r}; {hint}")
    parameters = list(inspect.signature(table[name]).parameters.values())[given:]
    free = inspect.Signature([parameter for parameter in parameters if parameter.name not in offered])
    try:
        arguments = free.bind(*positional, **named).arguments
    except TypeError as error:
        raise ValueError(f"{spec!r} does not fit `{name}{free}`: {error}.") from error
    return Call(name, table[name], tuple((key, _hashable(value)) for key, value in arguments.items()))


def _hashable(value: Any) -> Any:
    return tuple(map(_hashable, value)) if isinstance(value, list) else value


def check_fraction(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}.")


def check_range(name: str, value: tuple[float, float], low: float, high: float = float("inf")) -> None:
    """Refuse what is no pair low < value[0] ≤ value[1] ≤ high."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not low < value[0] <= value[1] <= high:
        raise ValueError(f"`{name}` must be a pair (a, b) with {low} < a ≤ b ≤ {high}, got {value}.")
