"""Flags that several commands share, and how figures are printed."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from cnn_jax.cli.output import drop_output
from cnn_jax.config import ConfigError

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Json = Annotated[Flag, arg(help="Print the figures as one JSON object, the last line of standard output.")]
RunFolder = Annotated[Path, arg(metavar="RUN", help="A run folder that `train` or `weights import` made.")]
TrustCode = Annotated[
    Flag, arg(help="Run the code of one's own that lies in the run folder, though you have not trained with it here.")
]
Step = Annotated[str, arg(help="latest, best (on the validation split) or the number of a saved step.")]


def check_range(flag: str, value: int | None, least: int, most: int = 2**31 - 1) -> None:
    """Refuses a number that is out of range; None, a flag that was not given, is in it.

    Raises:
      ConfigError: naming the flag and its range.
    """
    if value is not None and not least <= value <= most:
        raise ConfigError(f"`{flag}` is {value}: it must be from {least} to {most}.")


def print_figures(figures: Any, as_json: bool, show: Callable[[], None]) -> int:
    """Prints one JSON object, or whatever `show` prints for people; returns the exit status 0.

    In JSON, NaN and infinity are null.
    """
    try:
        if as_json:
            print(json.dumps(_numbers(figures), allow_nan=False))
        else:
            show()
        sys.stdout.flush()
    except BrokenPipeError:  # as in `| head`: the work is done, and its reader has seen enough
        drop_output()
    except ValueError:
        if not sys.stdout.closed:
            raise
    return 0


def _numbers(figures: Any) -> Any:
    """The same with None for what JSON has no word for."""
    if isinstance(figures, dict):
        return {key: _numbers(value) for key, value in figures.items()}
    if isinstance(figures, (list, tuple)):
        return [_numbers(value) for value in figures]
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures
