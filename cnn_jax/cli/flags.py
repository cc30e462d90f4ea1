"""Flags that several commands share, and how figures are printed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import arg

Flag = Annotated[bool, tyro.conf.FlagCreatePairsOff]
Json = Annotated[Flag, arg(help="Print the figures as one JSON object, the last line of standard output.")]
Debug = Annotated[Flag, arg(help="On failure, show the traceback.")]
ReturnMemory = Annotated[
    Flag, arg(help="Return freed memory to the system after every step on a CPU: less is held, and steps are slower.")
]
RunFolder = Annotated[Path, arg(metavar="RUN", help="A run folder that `train` or `weights import` made.")]
Step = Annotated[str, arg(help="latest, best (on the validation split) or the number of a saved step.")]


def print_figures(figures: Any, as_json: bool, show: Callable[[], None]) -> int:
    """Prints one JSON object, or whatever `show` prints for people; returns the exit status 0."""
    if as_json:
        print(json.dumps(figures))
    else:
        show()
    return 0
