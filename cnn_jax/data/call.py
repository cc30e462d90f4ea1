"""Calls written as text, "pad_crop(4)": a name from a registry with literal arguments; and checks of such arguments."""

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping


def parse_call[T](spec: str, registry: Mapping[str, Callable[..., T]], what: str) -> tuple[str, T]:
    """Call the function that `spec` names.

    Args:
        registry: the functions that may be named.
        what: the kind of operation, for the messages.

    Returns:
        The name, and what the function returned.

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
        raise ValueError(
            f'{spec!r} is no {what} operation; write a call such as "{next(iter(registry))}(4)".'
        ) from error
    if name not in registry:
        close = difflib.get_close_matches(name, registry, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known are {', '.join(registry)}."
        raise ValueError(f"unknown {what} operation {name!r} in {spec!r}; {hint}")
    function = registry[name]
    try:
        inspect.signature(function).bind(*positional, **named)
        return name, function(*positional, **named)
    except TypeError as error:
        raise ValueError(f"{spec!r} does not fit `{name}{inspect.signature(function)}`: {error}.") from error


def check_fraction(name: str, value: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` must be in [0, 1], got {value}.")


def check_range(name: str, value: tuple[float, float], low: float, high: float = float("inf")) -> None:
    """Refuse what is no pair low < value[0] ≤ value[1] ≤ high."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not low < value[0] <= value[1] <= high:
        raise ValueError(f"`{name}` must be a pair (a, b) with {low} < a ≤ b ≤ {high}, got {value}.")
